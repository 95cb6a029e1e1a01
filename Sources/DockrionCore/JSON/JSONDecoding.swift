import Foundation

extension JSONObject {
  /// Makes a value of a `Decodable` type from this object.
  ///
  ///     struct Question: Codable { let text: String; let tokens: Int? }
  ///     let question = try input.decode(Question.self)
  ///
  /// Numbers have to fit exactly: 1.5 is no `Int`, and 300 no `UInt8`. A `Date` is RFC 3339 text, `Data` base64, a `URL` text.
  /// Members that the type does not ask for are passed over.
  ///
  /// - Throws: `DecodingError` with the path of what does not fit, or what the type's own `init(from:)` throws.
  public func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try JSONValue.object(self).decode(type)
  }
}

extension JSONValue {
  /// Makes a value of a `Decodable` type from this one; see `JSONObject.decode`.
  public func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try ValueDecoder(value: self, codingPath: []).unbox(type)
  }
}

/// A member's name or an element's place in a coding path.
struct JSONCodingKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(stringValue: String) { (self.stringValue, intValue) = (stringValue, nil) }
  init(intValue: Int) { (stringValue, self.intValue) = ("\(intValue)", intValue) }
}

private struct ValueDecoder: Decoder, SingleValueDecodingContainer {
  let value: JSONValue
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let object) = value else { throw mismatch([String: JSONValue].self, "an object") }
    return KeyedDecodingContainer(ObjectContainer<Key>(object: object, codingPath: codingPath))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .array(let elements) = value else { throw mismatch([JSONValue].self, "an array") }
    return ArrayContainer(elements: elements, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  // MARK: One value

  func decodeNil() -> Bool { value == .null }
  func decode(_ type: Bool.Type) throws -> Bool {
    guard let flag = value.bool else { throw mismatch(type, "a boolean") }
    return flag
  }
  func decode(_ type: String.Type) throws -> String {
    guard let text = value.string else { throw mismatch(type, "a string") }
    return text
  }
  func decode(_ type: Double.Type) throws -> Double {
    guard let number = value.double else { throw mismatch(type, "a number") }
    return number
  }
  func decode(_ type: Float.Type) throws -> Float {
    guard let number = value.double else { throw mismatch(type, "a number") }
    let float = Float(number)
    guard float.isFinite else { throw corrupted("\(number) does not fit a Float") }
    return float
  }
  func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try unbox(type) }

  private func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    let number: Number?
    switch value {
    case .int(let integer): number = Number(exactly: integer)
    case .double(let double): number = Number(exactly: double)
    default: throw mismatch(type, "an integer")
    }
    guard let number else {
      throw corrupted(
        "\(value.double ?? 0) does not fit \(Number.min)…\(Number.max), or has a fractional part")
    }
    return number
  }

  func unbox<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let special: Any?
    switch type {
    case is JSONObject.Type:
      guard case .object(let object) = value else { throw mismatch(type, "an object") }
      special = object
    case is JSONValue.Type: special = value
    case is Date.Type: special = try date()
    case is Data.Type:
      guard let data = Data(base64Encoded: try decode(String.self)) else {
        throw corrupted("the text is not base64")
      }
      special = data
    case is URL.Type:
      guard let url = URL(string: try decode(String.self)) else { throw corrupted("the text is not a URL") }
      special = url
    case is Decimal.Type:
      if case .int(let number) = value {
        special = Decimal(number)
      } else {
        special = Decimal(try decode(Double.self))
      }
    default: special = nil
    }
    // Not in one step: an optional type would take nil for its value.
    if let special, let value = special as? Value { return value }
    return try type.init(from: self)
  }

  private func date() throws -> Date {
    let text = try decode(String.self)
    for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
      if let date = try? style.parse(text) { return date }
    }
    throw corrupted("the text is not a moment as RFC 3339 writes it, such as 2026-01-31T12:00:00Z")
  }

  // MARK: Errors

  private func mismatch(_ type: Any.Type, _ what: String) -> DecodingError {
    let context = DecodingError.Context(
      codingPath: codingPath, debugDescription: "\(what) is needed, not \(value.phrase)")
    return value == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  private func corrupted(_ text: String) -> DecodingError {
    .dataCorrupted(DecodingError.Context(codingPath: codingPath, debugDescription: text))
  }
}

extension JSONValue {
  fileprivate var phrase: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

private struct ObjectContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let object: JSONObject
  let codingPath: [any CodingKey]

  var allKeys: [Key] { object.names.compactMap { Key(stringValue: $0) } }
  func contains(_ key: Key) -> Bool { object[key.stringValue] != nil }

  private func decoder(_ key: any CodingKey) throws -> ValueDecoder {
    guard let value = object[key.stringValue] else {
      let text = "there is no member \"\(key.stringValue)\""
      throw DecodingError.keyNotFound(
        key, DecodingError.Context(codingPath: codingPath, debugDescription: text))
    }
    return ValueDecoder(value: value, codingPath: codingPath + [key])
  }

  func decodeNil(forKey key: Key) throws -> Bool { try decoder(key).decodeNil() }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try decoder(key).unbox(type)
  }
  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { try decoder(key).container(keyedBy: type) }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try decoder(key).unkeyedContainer()
  }
  func superDecoder() throws -> any Decoder { try decoder(JSONCodingKey(stringValue: "super")) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }
}

private struct ArrayContainer: UnkeyedDecodingContainer {
  let elements: [JSONValue]
  let codingPath: [any CodingKey]
  private(set) var currentIndex = 0

  init(elements: [JSONValue], codingPath: [any CodingKey]) {
    (self.elements, self.codingPath) = (elements, codingPath)
  }

  var count: Int? { elements.count }
  var isAtEnd: Bool { currentIndex == elements.count }

  private func decoder(_ type: Any.Type) throws -> ValueDecoder {
    let path = codingPath + [JSONCodingKey(intValue: currentIndex)]
    guard !isAtEnd else {
      let text = "the array has no element \(currentIndex)"
      throw DecodingError.valueNotFound(type, DecodingError.Context(codingPath: path, debugDescription: text))
    }
    return ValueDecoder(value: elements[currentIndex], codingPath: path)
  }

  mutating func decodeNil() throws -> Bool {
    guard try decoder(Never.self).decodeNil() else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try decoder(type).unbox(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    let nested = try decoder(JSONObject.self).container(keyedBy: type)
    currentIndex += 1
    return nested
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    let nested = try decoder([JSONValue].self).unkeyedContainer()
    currentIndex += 1
    return nested
  }

  mutating func superDecoder() throws -> any Decoder {
    let decoder = try decoder(JSONValue.self)
    currentIndex += 1
    return decoder
  }
}

/// A JSON value is a part of a `Decodable` type like any other.
extension JSONValue: Decodable {
  public init(from decoder: any Decoder) throws {
    if let decoder = decoder as? ValueDecoder {
      self = decoder.value
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let flag = try? container.decode(Bool.self) {
      self = .bool(flag)
    } else if let number = try? container.decode(Int64.self) {
      self = .int(number)
    } else if let number = try? container.decode(Double.self) {
      self = .double(number)
    } else if let text = try? container.decode(String.self) {
      self = .string(text)
    } else if let elements = try? container.decode([JSONValue].self) {
      self = .array(elements)
    } else {
      self = .object(JSONObject(try container.decode([String: JSONValue].self).map { ($0.key, $0.value) }))
    }
  }
}

extension JSONObject: Decodable {
  public init(from decoder: any Decoder) throws {
    guard case .object(let object) = try JSONValue(from: decoder) else {
      throw DecodingError.typeMismatch(
        JSONObject.self,
        DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "an object is needed"))
    }
    self = object
  }
}
