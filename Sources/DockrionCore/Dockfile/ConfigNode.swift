/// Where a value stands: line and column, both counted from 1.
struct ConfigPlace: Equatable, Sendable {
  var line: Int
  var column: Int
}

/// A value of the file with its place, after variables have been put in.
struct ConfigNode {
  enum Content {
    case null
    /// `plain` is false for a quoted or block scalar, which is text whatever it looks like.
    case scalar(String, plain: Bool)
    case sequence([ConfigNode])
    case mapping([Entry])
    /// Its error has been reported; readers pass over it.
    case broken
  }

  struct Entry {
    var key: String
    var place: ConfigPlace
    var value: ConfigNode
  }

  var content: Content
  var place: ConfigPlace

  var isNull: Bool { if case .null = content { true } else { false } }
  var isBroken: Bool { if case .broken = content { true } else { false } }
  var text: String? { if case .scalar(let text, _) = content { text } else { nil } }

  /// The value as an error shows it: numbers and booleans bare, text quoted and cut to 60 characters.
  var shown: String {
    switch content {
    case .null: "null"
    case .broken: "a broken value"
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let text, let plain):
      switch plain ? PlainScalar(text) : .text {
      case .text: quoted(text)
      default: text.count > 60 ? text.prefix(60) + "…" : text
      }
    }
  }

  var isMappingOrNull: Bool {
    switch content {
    case .mapping, .null: true
    default: false
    }
  }

  /// The value of a mapping's key; nil where there is none.
  func value(of key: String) -> ConfigNode? {
    guard case .mapping(let entries) = content else { return nil }
    return entries.first { $0.key == key }?.value
  }

  /// The node at an RFC 6901 pointer, or the nearest one above it that exists.
  func nearest(pointer: String) -> ConfigNode {
    var node = self
    for part in pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
      let name = unescapedFromPointer(part)
      switch node.content {
      case .mapping(let entries):
        guard let entry = entries.first(where: { $0.key == name }) else { return node }
        node = entry.value
      case .sequence(let elements):
        guard let index = Int(name), elements.indices.contains(index) else { return node }
        node = elements[index]
      default: return node
      }
    }
    return node
  }
}

/// What an unquoted scalar means in YAML 1.2's core schema.
enum PlainScalar {
  case null
  case bool(Bool)
  case int(Int64)
  /// Also an integer beyond 64 bits. May be infinite or not a number.
  case double(Double)
  case text

  init(_ text: String) {
    switch text {
    case "", "~", "null", "Null", "NULL": self = .null
    case "true", "True", "TRUE": self = .bool(true)
    case "false", "False", "FALSE": self = .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": self = .double(.infinity)
    case "-.inf", "-.Inf", "-.INF": self = .double(-.infinity)
    case ".nan", ".NaN", ".NAN": self = .double(.nan)
    default: self = Self.number(text) ?? .text
    }
  }

  private static func number(_ text: String) -> PlainScalar? {
    guard let first = text.utf8.first, first < 0x3A else { return nil }
    if text.hasPrefix("0x"), text.utf8.count > 2 {
      return text.utf8.dropFirst(2).allSatisfy(isHexDigit)
        ? Int64(text.dropFirst(2), radix: 16).map(PlainScalar.int) : nil
    }
    if text.hasPrefix("0o"), text.utf8.count > 2 {
      return text.utf8.dropFirst(2).allSatisfy(isDigit)
        ? Int64(text.dropFirst(2), radix: 8).map(PlainScalar.int) : nil
    }
    guard isDecimalNumber(text) else { return nil }
    if let integer = Int64(text) { return .int(integer) }
    return Double(text).map(PlainScalar.double)
  }

  /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, in one pass.
  private static func isDecimalNumber(_ text: String) -> Bool {
    var rest = text.utf8[...]
    func takeDigits() -> Int {
      let digits = rest.prefix(while: isDigit).count
      rest = rest.dropFirst(digits)
      return digits
    }
    func take(_ words: StaticString) -> Bool {
      guard let next = rest.first, words.withUTF8Buffer({ $0.contains(next) }) else { return false }
      rest = rest.dropFirst()
      return true
    }
    _ = take("+-")
    var digits = takeDigits()
    if take(".") { digits += takeDigits() }
    guard digits > 0 else { return false }
    if take("eE") {
      _ = take("+-")
      guard takeDigits() > 0 else { return false }
    }
    return rest.isEmpty
  }

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
  private static func isHexDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
  }
}
