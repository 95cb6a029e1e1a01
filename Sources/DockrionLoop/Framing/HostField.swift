import Glibc

/// What follows `Host:`, or stands behind `http://` in an absolute target.
enum HostField {
  /// True for a host, and a port where there is one:
  ///
  ///     Host = uri-host [ ":" port ]                              RFC 9110, 7.2
  ///     uri-host = IP-literal / IPv4address / reg-name            RFC 3986, 3.2.2
  ///     reg-name = *( unreserved / pct-encoded / sub-delims )
  ///     port = *DIGIT
  ///
  /// An empty name, which the grammar has, names no `http` server (RFC 9110, 4.2.1).
  static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if bytes.first == UInt8(ascii: "[") { return isLiteral(bytes) }
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: ":") { break }
      if byte == UInt8(ascii: "%") {
        guard index + 2 < bytes.count, Octets.hexDigit(bytes[index + 1]) != nil,
          Octets.hexDigit(bytes[index + 2]) != nil
        else { return false }
        index &+= 3
      } else {
        guard Octets.isRegisteredName(byte) else { return false }
        index &+= 1
      }
    }
    return index > 0 && isPort(bytes, from: index)
  }

  private static func isLiteral(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "]")), isPort(bytes, from: end + 1) else {
      return false
    }
    var address = in6_addr()
    return inet_pton(AF_INET6, String(decoding: bytes[1..<end], as: UTF8.self), &address) == 1
  }

  private static func isPort(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Bool {
    guard start < bytes.count else { return true }
    guard bytes[start] == UInt8(ascii: ":") else { return false }
    var port = 0
    var index = start + 1
    while index < bytes.count {
      guard Octets.isDigit(bytes[index]) else { return false }
      port = port &* 10 &+ Int(bytes[index] &- 0x30)
      if port > 65535 { return false }
      index &+= 1
    }
    return true
  }
}
