import DockrionCore

/// A query string's parameters, decoded. Names that begin with `_` are not ours: pages put them there so that no cache
/// answers.
struct Query {
  private struct Pair {
    var name: String
    var value: String
    /// False when name or value is no percent-encoded UTF-8; they are then as they were sent.
    var isText: Bool
  }

  private let pairs: [Pair]

  init(_ text: String?) {
    pairs = (text ?? "").split(separator: "&").compactMap { text in
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = Self.decode(parts[0], plus: true)
      let value = parts.count > 1 ? Self.decode(parts[1], plus: true) : ""
      let pair = Pair(
        name: name ?? String(parts[0]), value: value ?? String(parts[1]), isText: name != nil && value != nil)
      return pair.name.hasPrefix("_") ? nil : pair
    }
  }

  subscript(name: String) -> String? { pairs.first { $0.name == name }?.value }

  /// Refuses what a route does not know, what stands there twice, and what cannot be decoded.
  func check(known: [String]) throws(ErrorReply) {
    for (index, pair) in pairs.enumerated() {
      guard known.contains(pair.name) else {
        let nearest = nearestKey(to: pair.name, among: known).map { "did you mean \"\($0)\"?" }
        let all =
          known.isEmpty ? "this route takes none" : "this route takes \(known.joined(separator: ", "))"
        throw ErrorReply(
          400, "VALIDATION_ERROR", "\(quoted(pair.name)) is no query parameter here; \(nearest ?? all)")
      }
      guard pair.isText else {
        throw ErrorReply(
          400, "VALIDATION_ERROR", "\(pair.name): \(quoted(pair.value)) is no percent-encoded UTF-8")
      }
      guard !pairs[..<index].contains(where: { $0.name == pair.name }) else {
        throw ErrorReply(400, "VALIDATION_ERROR", "\(pair.name): it stands there twice; once is needed")
      }
    }
  }

  /// An integer parameter; nil when absent.
  func int(_ name: String, in range: ClosedRange<Int>, _ what: String) throws(ErrorReply) -> Int? {
    guard let text = self[name] else { return nil }
    guard text.utf8.allSatisfy(ASCII.isDigit), let value = Int(text), range.contains(value)
    else {
      throw ErrorReply(400, "VALIDATION_ERROR", "\(name): \(quoted(text)) is not \(what)")
    }
    return value
  }

  /// Replaces `%XX`, and `+` by a space where that is meant. Nil for a `%` without two digits, and where no UTF-8
  /// comes out.
  static func decode(_ text: some StringProtocol, plus: Bool = false) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8.makeIterator()
    while let byte = rest.next() {
      if byte == UInt8(ascii: "+"), plus {
        bytes.append(UInt8(ascii: " "))
      } else if byte == UInt8(ascii: "%") {
        guard let high = rest.next().flatMap(ASCII.hexDigit), let low = rest.next().flatMap(ASCII.hexDigit)
        else { return nil }
        bytes.append(high << 4 | low)
      } else {
        bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
