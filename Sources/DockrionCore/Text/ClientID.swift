extension String {
  /// True for `^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`: what a client may choose as an id.
  package var isClientID: Bool {
    guard let first = utf8.first, utf8.count <= Limits.idBytesMax else { return false }
    return ASCII.isAlphanumeric(first)
      && utf8.allSatisfy { ASCII.isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
  }
}
