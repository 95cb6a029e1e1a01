/// What a refused request asked for, as far as its first line can be read: for the access log.
package struct RefusedHead: Equatable {
  /// Where it is a token that something may follow.
  package let method: String?
  /// The target up to its query, as it was sent.
  package let path: String?

  private static let methodBytesMax = 64

  /// - Parameter bytes: the head from its beginning on, whole or not.
  init(_ bytes: UnsafeRawBufferPointer) {
    let name = bytes.prefix { Octets.isToken($0) }
    let rest = bytes[name.endIndex...]
    let isDelimited = rest.first.map { $0 == Octets.space || Self.endsLine($0) } ?? false
    guard isDelimited, (1...Self.methodBytesMax).contains(name.count) else {
      (method, path) = (nil, nil)
      return
    }
    method = String(decoding: name, as: UTF8.self)
    let target = rest.first == Octets.space ? rest.dropFirst() : rest.prefix(0)
    let shown = target.prefix {
      $0 != Octets.space && $0 != UInt8(ascii: "?") && !Self.endsLine($0)
    }
    path = shown.isEmpty ? nil : String(decoding: shown, as: UTF8.self)
  }

  private static func endsLine(_ byte: UInt8) -> Bool {
    byte == Octets.carriageReturn || byte == Octets.lineFeed
  }
}
