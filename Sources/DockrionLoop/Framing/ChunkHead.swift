/// The line before a chunk's data.
enum ChunkHead {
  // Sixteen digits fill the sixty-four bits of the largest size there could be.
  private static let digitsMax = 16

  /// Reads the line, without its CRLF.
  ///
  ///     chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF                     RFC 9112, 7.1
  ///     chunk-size = 1*HEXDIG
  ///     chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
  ///
  /// Extensions are ignored, whatever they are (7.1.1).
  ///
  /// - Returns: the size, `Int.max` for one beyond it, and how many digits it has; what follows them is extensions.
  static func read(_ line: UnsafeRawBufferPointer) throws(FramingRefusal) -> (size: Int, digits: Int) {
    var size: UInt64 = 0
    var index = 0
    while index < line.count, let digit = Octets.hexDigit(line[index]) {
      guard index < digitsMax else {
        throw FramingRefusal("chunk size", line, "has more than \(digitsMax) digits")
      }
      size = size << 4 | UInt64(digit)
      index += 1
    }
    guard index > 0 else {
      throw FramingRefusal("chunk size", line, "does not begin with a hexadecimal digit")
    }
    if index < line.count {
      let rest = line.part(index, line.count)
      guard Octets.trimmed(rest).first == UInt8(ascii: ";"), !Octets.hasControl(rest) else {
        throw FramingRefusal("chunk size", line, "has something behind its digits that is no extension")
      }
    }
    return (Int(exactly: size) ?? .max, index)
  }
}
