import DockrionCore

/// A query string's parameters, decoded. Of several with one name the first counts.
struct Query {
  private let pairs: [(name: String, value: String)]

  init(_ text: String?) {
    pairs = (text ?? "").split(separator: "&").map { pair in
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return (Self.decode(parts[0], plus: true), parts.count > 1 ? Self.decode(parts[1], plus: true) : "")
    }
  }

  subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

  /// An integer parameter; nil when absent.
  func int(_ name: String, in range: ClosedRange<Int>, _ what: String) throws(ErrorReply) -> Int? {
    guard let text = self[name] else { return nil }
    guard let value = Int(text), range.contains(value) else {
      throw ErrorReply(400, "VALIDATION_ERROR", "\(name): \"\(text.prefix(60))\" is not \(what)")
    }
    return value
  }

  /// Replaces `%XX`, and `+` by a space where that is meant. Bytes that are no UTF-8 become U+FFFD.
  static func decode(_ text: some StringProtocol, plus: Bool = false) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8.makeIterator()
    while let byte = rest.next() {
      if byte == UInt8(ascii: "+"), plus {
        bytes.append(UInt8(ascii: " "))
      } else if byte == UInt8(ascii: "%") {
        var ahead = rest
        if let high = ahead.next().flatMap(hex), let low = ahead.next().flatMap(hex) {
          bytes.append(high << 4 | low)
          rest = ahead
        } else {
          bytes.append(byte)
        }
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func hex(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}

extension String {
  /// True for `^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`: what a client may choose as an id.
  var isClientID: Bool {
    guard let first = utf8.first, utf8.count <= Limits.idBytesMax else { return false }
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A)
    }
    return isAlphanumeric(first)
      && utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
  }
}
