// Strings of JSON text: a step reads, tests and writes one or two words of eight bytes at once. Vectors of bytes would
// say the same in fewer words, but their masks fall apart into loops over single bytes, a fiftieth as fast:
// "encode 12 kB of plain text" in `benchmarks/micro` shows it.
extension ByteWriter {
  /// Writes a string with its quotation marks.
  ///
  /// Besides what JSON demands, U+0085, U+2028 and U+2029 are escaped: JSON allows them as they are, but
  /// clients that cut an event stream with a Unicode-aware "split lines" would cut an event in two.
  public mutating func append(json text: String) {
    withBytes(of: text) { $0.append(jsonBytes: $1) }
  }

  // Behind what is left of a string: the longest escape and both quotation marks, and what a word reaches beyond them.
  private static let slack = 16

  private mutating func append(jsonBytes bytes: UnsafeRawBufferPointer) {
    reserve(bytes.count + Self.slack)
    var out = unsafeEnd
    out.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
    out += 1
    if var from = bytes.baseAddress {
      let end = from + bytes.count
      while from < end {
        while end - from >= 16 {
          let words = from.loadUnaligned(as: SIMD2<UInt64>.self)
          let suspects = words.suspects
          guard suspects[0] | suspects[1] == 0 else { break }
          out.storeBytes(of: words, as: SIMD2<UInt64>.self)
          from += 16
          out += 16
        }
        guard from < end else { break }
        let length = min(end - from, 8)
        let word = length == 8 ? from.loadUnaligned(as: UInt64.self) : from.loadPadded(length)
        out.storeBytes(of: word, as: UInt64.self)
        let suspects = word.suspects
        let plain = suspects == 0 ? length : suspects.trailingZeroBitCount >> 3
        out += plain
        from += plain
        guard suspects != 0 else { continue }
        let (text, written, read) = from.escape
        out.storeBytes(of: text, as: UInt64.self)
        out += written
        from += read
        // An escape takes more than what it stands for.
        advance(to: out)
        reserve(end - from + Self.slack)
        out = unsafeEnd
      }
    }
    out.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
    advance(to: out + 1)
  }
}

extension UnsafeRawPointer {
  /// What the suspect character here becomes, in how many bytes, and how many it has here.
  @inline(__always)
  fileprivate var escape: (text: UInt64, written: Int, read: Int) {
    let byte = load(as: UInt8.self)
    // A string's bytes are UTF-8, so the rest of the character is there.
    if byte == 0xC2 {
      let second = load(fromByteOffset: 1, as: UInt8.self)
      return second == 0x85 ? (Self.unicode(0x85), 6, 2) : (0xC2 | UInt64(second) << 8, 2, 2)
    }
    if byte == 0xE2 {
      let (second, third) = (load(fromByteOffset: 1, as: UInt8.self), load(fromByteOffset: 2, as: UInt8.self))
      if second == 0x80, third & 0xFE == 0xA8 { return (Self.unicode(0x2000 | UInt64(third & 0x3F)), 6, 3) }
      return (0xE2 | UInt64(second) << 8 | UInt64(third) << 16, 3, 3)
    }
    let short: UInt8
    switch byte {
    case 0x22, 0x5C: short = byte
    case 0x08: short = UInt8(ascii: "b")
    case 0x0C: short = UInt8(ascii: "f")
    case 0x0A: short = UInt8(ascii: "n")
    case 0x0D: short = UInt8(ascii: "r")
    case 0x09: short = UInt8(ascii: "t")
    default: return (Self.unicode(UInt64(byte)), 6, 1)
    }
    return (UInt64(short) << 8 | 0x5C, 2, 1)
  }

  /// `\u` and four digits, of which the first is the lowest byte.
  private static func unicode(_ scalar: UInt64) -> UInt64 {
    var text: UInt64 = 0x755C
    for place in 0..<4 as Range<UInt64> {
      let digit = scalar >> (12 - place * 4) & 15
      text |= (digit < 10 ? 0x30 + digit : 0x57 + digit) << (16 + place * 8)
    }
    return text
  }

  /// 1…7 bytes as the low end of a word, and spaces above them.
  @inline(__always)
  fileprivate func loadPadded(_ count: Int) -> UInt64 {
    let low: UInt64
    if count >= 4 {
      low =
        UInt64(loadUnaligned(as: UInt32.self))
        | UInt64(loadUnaligned(fromByteOffset: count - 4, as: UInt32.self)) << UInt64((count - 4) * 8)
    } else {
      // The first, the middle one and the last are all that three bytes have.
      low =
        UInt64(load(as: UInt8.self))
        | UInt64(load(fromByteOffset: count >> 1, as: UInt8.self)) << UInt64((count >> 1) * 8)
        | UInt64(load(fromByteOffset: count - 1, as: UInt8.self)) << UInt64((count - 1) * 8)
    }
    return low | 0x2020_2020_2020_2020 << UInt64(count * 8)
  }
}

extension UInt64 {
  /// The highest bit of each byte that may need an escape; bytes above the lowest such one may be wrongly marked.
  ///
  /// Each term is "a byte of x is below n" in the form `(x - n) & ~x`: bits are borrowed only above a true hit.
  @inline(__always)
  fileprivate var suspects: UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quote = self ^ (ones &* 0x22)
    let backslash = self ^ (ones &* 0x5C)
    // C2 and E2, the first bytes of U+0085, U+2028 and U+2029, differ in one bit.
    let lead = (self | ones &* 0x20) ^ (ones &* 0xE2)
    let control = (self &- ones &* 0x20) & ~self
    let marked =
      control | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (lead &- ones) & ~lead
    return marked & (ones &* 0x80)
  }
}

extension SIMD2<UInt64> {
  /// The same for two words.
  @inline(__always)
  fileprivate var suspects: SIMD2<UInt64> {
    let ones = SIMD2<UInt64>(repeating: 0x0101_0101_0101_0101)
    let quote = self ^ SIMD2(repeating: 0x2222_2222_2222_2222)
    let backslash = self ^ SIMD2(repeating: 0x5C5C_5C5C_5C5C_5C5C)
    let lead = (self | SIMD2(repeating: 0x2020_2020_2020_2020)) ^ SIMD2(repeating: 0xE2E2_E2E2_E2E2_E2E2)
    let control = (self &- SIMD2(repeating: 0x2020_2020_2020_2020)) & ~self
    let marked =
      control | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash | (lead &- ones) & ~lead
    return marked & SIMD2(repeating: 0x8080_8080_8080_8080)
  }
}
