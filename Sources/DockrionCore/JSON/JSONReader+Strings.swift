// Strings: the bytes up to the next one of interest, eight a step, then the standard library's own check of UTF-8.
extension JSONReader {
  /// Reads a string behind its first quotation mark.
  @inline(__always)
  mutating func readString(_ at: inout UnsafePointer<UInt8>) throws(Flaw) -> String {
    let first = at
    let isASCII = skipPlain(&at)
    guard peek(at) == UInt8(ascii: "\"") else {
      let text = try readEscapedString(first, at)
      at = stop
      return text
    }
    let bytes = UnsafeBufferPointer(start: first, count: at - first)
    guard
      let text = isASCII ? String(decoding: bytes, as: UTF8.self) : String(validating: bytes, as: UTF8.self)
    else { throw wrong("the string is not UTF-8", first) }
    at += 1
    if bytes.count > 15 { memoryBytes += 33 + bytes.count }
    return text
  }

  /// Reads a name behind its first quotation mark.
  @inline(__always)
  mutating func readName(_ at: inout UnsafePointer<UInt8>) throws(Flaw) -> String {
    let first = at
    guard end - first >= 8 else { return try readString(&at) }
    _ = skipPlain(&at)
    let count = at - first
    var word = UnsafeRawPointer(first).loadUnaligned(as: UInt64.self).littleEndian
    if count < 8 { word &= (1 << UInt64(count * 8)) &- 1 }
    if peek(at) == UInt8(ascii: "\""), let name = names.name(first, word: word, count: count) {
      at += 1
      return name
    }
    let name = try readNewName(first, word)
    at = stop
    return name
  }

  @inline(never)
  private mutating func readNewName(_ first: UnsafePointer<UInt8>, _ word: UInt64) throws(Flaw) -> String {
    var at = first
    let name = try readString(&at)
    stop = at
    // What has escapes is shorter than it was written.
    if name.utf8.count == at - first - 1 { names.note(name, word: word) }
    return name
  }

  /// Goes to the next quotation mark, backslash or control character, or the end; true where all is ASCII.
  @inline(__always)
  private func skipPlain(_ at: inout UnsafePointer<UInt8>) -> Bool {
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
      return high & 0x8080_8080_8080_8080 == 0
    }
    while at < end, at.pointee >= 0x20, at.pointee != UInt8(ascii: "\""), at.pointee != UInt8(ascii: "\\") {
      high |= UInt64(at.pointee)
      at += 1
    }
    return high & 0x8080_8080_8080_8080 == 0
  }

  /// Reads a string that has a backslash, or something wrong, at a place that is not its first.
  @inline(never)
  private mutating func readEscapedString(
    _ first: UnsafePointer<UInt8>, _ special: UnsafePointer<UInt8>
  ) throws(Flaw) -> String {
    scratch.removeAll(keepingAtMost: 1 << 16)
    var (clean, at) = (first, special)
    while peek(at) != UInt8(ascii: "\"") {
      if at == end { throw needed("a quotation mark", at) }
      guard at.pointee == UInt8(ascii: "\\") else {
        throw wrong("a control character in a string has to be escaped", at)
      }
      scratch.append(UnsafeRawBufferPointer(start: clean, count: at - clean))
      at += 1
      try readEscape(&at)
      clean = at
      _ = skipPlain(&at)
    }
    scratch.append(UnsafeRawBufferPointer(start: clean, count: at - clean))
    guard let text = String(validating: scratch.bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
      throw wrong("the string is not UTF-8", first)
    }
    stop = at + 1
    if scratch.count > 15 { memoryBytes += 33 + scratch.count }
    return text
  }

  /// Reads what stands behind a backslash.
  @inline(__always)
  private mutating func readEscape(_ at: inout UnsafePointer<UInt8>) throws(Flaw) {
    let byte = peek(at)
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(byte)
    case UInt8(ascii: "b"): scratch.append(0x08)
    case UInt8(ascii: "f"): scratch.append(0x0C)
    case UInt8(ascii: "n"): scratch.append(0x0A)
    case UInt8(ascii: "r"): scratch.append(0x0D)
    case UInt8(ascii: "t"): scratch.append(0x09)
    case UInt8(ascii: "u"):
      at += 1
      return try readCharacter(&at)
    default: throw needed("one of \"\\/bfnrtu behind a backslash", at)
    }
    at += 1
  }

  /// Reads the digits behind `\u`, and those of the other half of a surrogate pair.
  @inline(__always)
  private mutating func readCharacter(_ at: inout UnsafePointer<UInt8>) throws(Flaw) {
    var scalar = try readHexadecimals(&at)
    if scalar & 0xFC00 == 0xD800, end - at >= 6, at[0] == UInt8(ascii: "\\"), at[1] == UInt8(ascii: "u") {
      at += 2
      let low = try readHexadecimals(&at)
      guard low & 0xFC00 == 0xDC00 else { throw wrong("half a surrogate pair has no character", at) }
      scalar = 0x1_0000 + (scalar & 0x3FF) << 10 + (low & 0x3FF)
    }
    guard let scalar = Unicode.Scalar(scalar) else {
      throw wrong("half a surrogate pair has no character", at)
    }
    for byte in UTF8.encode(scalar).unsafelyUnwrapped { scratch.append(byte) }
  }

  @inline(__always)
  private mutating func readHexadecimals(_ at: inout UnsafePointer<UInt8>) throws(Flaw) -> UInt32 {
    var number: UInt32 = 0
    for _ in 0..<4 {
      let byte = UInt32(peek(at))
      let letter = (byte | 0x20) &- UInt32(UInt8(ascii: "a"))
      if byte &- UInt32(UInt8(ascii: "0")) < 10 {
        number = number << 4 | (byte & 15)
      } else if letter < 6 {
        number = number << 4 | (letter + 10)
      } else {
        throw needed("a hexadecimal digit", at)
      }
      at += 1
    }
    return number
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
