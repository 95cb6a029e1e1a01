/// Where a request wants to go.
enum RequestTarget {
  /// Checks a target that does not begin with one `/`, and finds the parts of an absolute one.
  ///
  ///     request-target = origin-form / absolute-form / authority-form / asterisk-form      RFC 9112, 3.2
  ///
  /// A target that begins with `//` would be a path to us and an authority to others, so that a rule of a proxy's for
  /// `/metrics` would not hold for `//x/metrics`. `CONNECT` is for proxies.
  ///
  /// - Returns: the authority of an absolute target, whose path follows it; nil for `*`.
  static func authority(of target: UnsafeRawBufferPointer, isOptions: Bool) throws(FramingRefusal) -> Range<
    Int
  >? {
    if target.first == UInt8(ascii: "/") {
      throw FramingRefusal("target", target, "begins with two slashes; a path begins with one")
    }
    if isOptions, Octets.same(target, "*") { return nil }
    let start = "http://".utf8.count
    guard target.count > start,
      Octets.equal(target.part(0, start), "http://")
    else { throw FramingRefusal("target", target, "is neither a path nor an absolute http URL") }
    let end =
      target[start...].firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") } ?? target.count
    guard HostField.isValid(target.part(start, end)) else {
      throw FramingRefusal("target", target, "has no host, or none without a user, behind http://")
    }
    guard !target[end...].starts(with: "//".utf8) else {
      throw FramingRefusal("target", target, "has a path that begins with two slashes")
    }
    return start..<end
  }
}
