// Strings: the bytes up to the next one of interest, eight a step, then the standard library's own check of UTF-8.
extension JSONReader {
  /// Reads a string behind its first quotation mark.
  @inline(__always)
  mutating func readString() throws(Flaw) -> String {
    let first = at
    var isASCII = true
    skipPlain(&isASCII)
    guard peek == UInt8(ascii: "\"") else { return try readEscapedString(first) }
    let bytes = UnsafeBufferPointer(start: first, count: at - first)
    guard
      let text = isASCII ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
    else { throw notUTF8(first) }
    at += 1
    if bytes.count > 15 { memoryBytes += 33 + bytes.count }
    return text
  }

  /// Goes to the next quotation mark, backslash or control character, or the end.
  @inline(__always)
  private mutating func skipPlain(_ isASCII: inout Bool) {
    var high: UInt64 = 0
    while end - at >= 8 {
      let word = UnsafeRawPointer(at).loadUnaligned(as: UInt64.self).littleEndian
      let stops = word.stringStops
      if stops == 0 {
        high |= word
        at += 8
        continue
      }
      let plain = stops.trailingZeroBitCount >> 3
      high |= word & ((1 << UInt64(plain * 8)) &- 1)
      at += plain
      isASCII = isASCII && high & 0x8080_8080_8080_8080 == 0
      return
    }
    while at < end, at.pointee >= 0x20, at.pointee != UInt8(ascii: "\""), at.pointee != UInt8(ascii: "\\") {
      high |= UInt64(at.pointee)
      at += 1
    }
    isASCII = isASCII && high & 0x8080_8080_8080_8080 == 0
  }

  private mutating func readEscapedString(_ first: UnsafePointer<UInt8>) throws(Flaw) -> String {
    scratch.removeAll(keepingAtMost: 1 << 16)
    var clean = first
    var isASCII = true
    while peek != UInt8(ascii: "\"") {
      if at == end { throw .needed("a quotation mark") }
      guard at.pointee == UInt8(ascii: "\\") else {
        throw .wrong("a control character in a string has to be escaped")
      }
      scratch.append(UnsafeRawBufferPointer(start: clean, count: at - clean))
      at += 1
      try readEscape()
      clean = at
      skipPlain(&isASCII)
    }
    scratch.append(UnsafeRawBufferPointer(start: clean, count: at - clean))
    guard let text = String(validating: scratch.bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
      throw notUTF8(first)
    }
    at += 1
    if scratch.count > 15 { memoryBytes += 33 + scratch.count }
    return text
  }

  /// Reads what stands behind a backslash.
  private mutating func readEscape() throws(Flaw) {
    let byte = peek
    at += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(byte)
    case UInt8(ascii: "b"): scratch.append(0x08)
    case UInt8(ascii: "f"): scratch.append(0x0C)
    case UInt8(ascii: "n"): scratch.append(0x0A)
    case UInt8(ascii: "r"): scratch.append(0x0D)
    case UInt8(ascii: "t"): scratch.append(0x09)
    case UInt8(ascii: "u"):
      var scalar = try readHexadecimals()
      if scalar & 0xFC00 == 0xD800, end - at >= 6, at[0] == UInt8(ascii: "\\"), at[1] == UInt8(ascii: "u") {
        at += 2
        let low = try readHexadecimals()
        guard low & 0xFC00 == 0xDC00 else { throw .wrong("half a surrogate pair has no character") }
        scalar = 0x1_0000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
      }
      guard let scalar = Unicode.Scalar(scalar) else {
        throw .wrong("half a surrogate pair has no character")
      }
      for byte in UTF8.encode(scalar).unsafelyUnwrapped { scratch.append(byte) }
    default:
      at -= 1
      throw .needed("one of \"\\/bfnrtu behind a backslash")
    }
  }

  private mutating func readHexadecimals() throws(Flaw) -> UInt32 {
    var number: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(peek)).hexDigitValue, peek < 0x80 else {
        throw .needed("a hexadecimal digit")
      }
      number = number << 4 | UInt32(digit)
      at += 1
    }
    return number
  }

  private mutating func notUTF8(_ first: UnsafePointer<UInt8>) -> Flaw {
    at = first
    return .wrong("the string is not UTF-8")
  }
}

extension UInt64 {
  /// The highest bit of each byte that is a quotation mark, a backslash or a control character; bytes above the lowest
  /// such one may be wrongly marked.
  @inline(__always)
  fileprivate var stringStops: UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let quote = self ^ (ones &* 0x22)
    let backslash = self ^ (ones &* 0x5C)
    let marked = (self &- ones &* 0x20) & ~self | (quote &- ones) & ~quote | (backslash &- ones) & ~backslash
    return marked & (ones &* 0x80)
  }
}
