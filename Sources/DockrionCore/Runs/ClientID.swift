extension String {
  /// True for `^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`: what a client may choose as an id.
  package var isClientID: Bool {
    guard let first = utf8.first, utf8.count <= Limits.idBytesMax else { return false }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A)
    }
    return isAlphanumeric(first)
      && utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
  }
}
