import Glibc

/// The character classes of RFC 9110 and RFC 3986, over raw bytes.
enum Octets {
  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20

  // tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
  // (RFC 9110, 5.6.2). A bit a character, below 64 and from there on.
  private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
  private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE
  // unreserved / sub-delims (RFC 3986, 2.2 and 2.3): "!$&'()*+,-.;=_~", digits and letters.
  private static let nameLow: UInt64 = 0x2BFF_7FD2_0000_0000
  private static let nameHigh: UInt64 = 0x47FF_FFFE_87FF_FFFE

  private static func isIn(_ low: UInt64, _ high: UInt64, _ byte: UInt8) -> Bool {
    byte < 0x80 && ((byte < 64 ? low : high) >> UInt64(byte & 63)) & 1 == 1
  }

  @inline(__always)
  static func isToken(_ byte: UInt8) -> Bool {
    // Nearly always it is a letter or a hyphen.
    (byte | 0x20) &- 0x61 < 26 || byte == 0x2D || isIn(tokenLow, tokenHigh, byte)
  }

  /// True for what a registered name may have besides percent-encoded octets.
  static func isRegisteredName(_ byte: UInt8) -> Bool { isIn(nameLow, nameHigh, byte) }

  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  static func hexDigit(_ byte: UInt8) -> Int? {
    switch byte {
    case 0x30...0x39: Int(byte) - 0x30
    case 0x41...0x46: Int(byte) - 0x41 + 10
    case 0x61...0x66: Int(byte) - 0x61 + 10
    default: nil
    }
  }

  private static let ones: UInt64 = 0x0101_0101_0101_0101
  private static let tops: UInt64 = 0x8080_8080_8080_8080

  /// Non-zero when one of the eight bytes is below `bound`, at most 0x80, or is DEL.
  private static func unusual(_ word: UInt64, below bound: UInt64) -> UInt64 {
    let delete = word ^ (ones &* 0x7F)
    return (((word &- ones &* bound) & ~word) | ((delete &- ones) & ~delete)) & tops
  }

  /// Whether it holds what no field value may: CTL other than HTAB (RFC 9110, 5.5).
  static func hasControl(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index &+ 8 <= bytes.count {
      let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
      if unusual(word, below: 0x20) != 0, hasControlByte(bytes, index, index &+ 8) { return true }
      index &+= 8
    }
    return hasControlByte(bytes, index, bytes.count)
  }

  private static func hasControlByte(_ bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int) -> Bool {
    var index = start
    while index < end {
      let byte = bytes[index]
      if (byte < 0x20 && byte != tab) || byte == 0x7F { return true }
      index &+= 1
    }
    return false
  }

  /// Whether it holds what no request target may: CTL, white space, or the `#` of a fragment (RFC 9112, 3.2).
  static func hasForbiddenInTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var index = 0
    while index &+ 8 <= bytes.count {
      if unusual(bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self), below: 0x21) != 0 {
        return true
      }
      index &+= 8
    }
    while index < bytes.count {
      if bytes[index] < 0x21 || bytes[index] == 0x7F { return true }
      index &+= 1
    }
    return contains(bytes, UInt8(ascii: "#"))
  }

  static func contains(_ bytes: UnsafeRawBufferPointer, _ byte: UInt8) -> Bool {
    guard let base = bytes.baseAddress else { return false }
    return memchr(base, Int32(byte), bytes.count) != nil
  }

  /// Without OWS at both ends.
  static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var (start, end) = (0, bytes.count)
    while start < end, bytes[start] == space || bytes[start] == tab { start &+= 1 }
    while end > start, bytes[end &- 1] == space || bytes[end &- 1] == tab { end &-= 1 }
    return bytes.part(start, end)
  }

  /// Equal but for the case of letters; `other` is in lower case, of as many bytes or not.
  static func equal(_ bytes: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    guard bytes.count == other.utf8CodeUnitCount, let base = bytes.baseAddress else { return false }
    return strncasecmp(
      base.assumingMemoryBound(to: CChar.self),
      UnsafeRawPointer(other.utf8Start).assumingMemoryBound(to: CChar.self), bytes.count) == 0
  }

  /// The same for a token and a name of letters and hyphens, of at least four.
  @inline(__always)
  static func isName(_ token: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
    let count = name.utf8CodeUnitCount
    guard token.count == count, let base = token.baseAddress else { return false }
    let other = UnsafeRawPointer(name.utf8Start)
    if count < 8 {
      let lower = UInt32(0x2020_2020)
      func differ(_ at: Int) -> Bool {
        base.loadUnaligned(fromByteOffset: at, as: UInt32.self) | lower
          != other.loadUnaligned(fromByteOffset: at, as: UInt32.self)
      }
      return !differ(0) && !differ(count &- 4)
    }
    // No other character of a token becomes a letter or a hyphen by this bit.
    let lower = UInt64(0x2020_2020_2020_2020)
    func differ(_ at: Int) -> Bool {
      base.loadUnaligned(fromByteOffset: at, as: UInt64.self) | lower
        != other.loadUnaligned(fromByteOffset: at, as: UInt64.self)
    }
    return !differ(0) && (count <= 16 || !differ(8)) && !differ(count &- 8)
  }

  /// Equal in every bit.
  static func same(_ bytes: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    bytes.count == other.utf8CodeUnitCount
      && bytes.baseAddress.map { memcmp($0, other.utf8Start, bytes.count) } == 0
  }
}

extension UnsafeRawBufferPointer {
  /// A part of it that begins and ends within it.
  @inline(__always)
  func part(_ start: Int, _ end: Int) -> UnsafeRawBufferPointer {
    assert(0 <= start && start <= end && end <= count)
    return UnsafeRawBufferPointer(start: baseAddress.map { $0 + start }, count: end &- start)
  }

  /// Its first bytes.
  @inline(__always)
  func first(_ count: Int) -> UnsafeRawBufferPointer { part(0, count) }
}
