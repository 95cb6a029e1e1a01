import Foundation

extension JSONObject {
  /// An object of an `Encodable` value's members, in the order in which the value writes them.
  ///
  ///     struct Answer: Codable { let text: String; let sources: [URL] }
  ///     return try JSONObject(encoding: answer)
  ///
  /// A `Date` becomes RFC 3339 text with milliseconds, `Data` base64, a `URL` text; nil members are left out.
  ///
  /// - Throws: `EncodingError` with the path of what has no JSON form: a value that is no object at all, an integer beyond
  ///   64 bits with a sign, a number that is not finite.
  public init(encoding value: some Encodable) throws {
    guard case .object(let object) = try JSONValue(encoding: value) else {
      throw EncodingError.invalidValue(
        value,
        EncodingError.Context(codingPath: [], debugDescription: "\(type(of: value)) is no JSON object"))
    }
    self = object
  }
}

extension JSONValue {
  /// The JSON form of an `Encodable` value; see `JSONObject.init(encoding:)`.
  public init(encoding value: some Encodable) throws {
    let place = EncodedPlace()
    try ValueEncoder(place: place, codingPath: []).box(value)
    self = place.json
  }
}

/// Where a value is put together: containers stay usable while others are written, so each is a place of its own.
private final class EncodedPlace {
  enum Content {
    case value(JSONValue)
    case object([(name: String, place: EncodedPlace)])
    case array([EncodedPlace])
  }

  var content: Content?

  /// What has been encoded here; an empty object where nothing has.
  var json: JSONValue {
    switch content {
    case .value(let value): value
    case .object(let members): .object(JSONObject(members.map { ($0.name, $0.place.json) }))
    case .array(let places): .array(places.map(\.json))
    case nil: .object([:])
    }
  }

  func member(_ name: String) -> EncodedPlace {
    let place = EncodedPlace()
    if case .object(var members) = content {
      content = nil
      members.append((name, place))
      content = .object(members)
    } else {
      content = .object([(name, place)])
    }
    return place
  }

  func element() -> EncodedPlace {
    let place = EncodedPlace()
    if case .array(var places) = content {
      content = nil
      places.append(place)
      content = .array(places)
    } else {
      content = .array([place])
    }
    return place
  }

  var elementCount: Int { if case .array(let places) = content { places.count } else { 0 } }
}

private struct ValueEncoder: Encoder, SingleValueEncodingContainer {
  let place: EncodedPlace
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if place.content == nil { place.content = .object([]) }
    return KeyedEncodingContainer(ObjectContainer<Key>(place: place, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if place.content == nil { place.content = .array([]) }
    return ArrayContainer(place: place, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  // MARK: One value

  func encodeNil() { place.content = .value(.null) }
  func encode(_ value: Bool) { place.content = .value(.bool(value)) }
  func encode(_ value: String) { place.content = .value(.string(value)) }
  func encode(_ value: Double) throws {
    guard value.isFinite else { throw invalid(value, "\(value) has no JSON form; a finite number is needed") }
    place.content = .value(.double(value))
  }
  // The shortest form that reads back as the same `Float`: 0.1 and not 0.10000000149.
  func encode(_ value: Float) throws { try encode(Double(value.description) ?? Double(value)) }
  func encode(_ value: Int) throws { try integer(value) }
  func encode(_ value: Int8) throws { try integer(value) }
  func encode(_ value: Int16) throws { try integer(value) }
  func encode(_ value: Int32) throws { try integer(value) }
  func encode(_ value: Int64) throws { try integer(value) }
  func encode(_ value: UInt) throws { try integer(value) }
  func encode(_ value: UInt8) throws { try integer(value) }
  func encode(_ value: UInt16) throws { try integer(value) }
  func encode(_ value: UInt32) throws { try integer(value) }
  func encode(_ value: UInt64) throws { try integer(value) }
  func encode<Value: Encodable>(_ value: Value) throws { try box(value) }

  private func integer(_ value: some FixedWidthInteger) throws {
    guard let number = Int64(exactly: value) else {
      throw invalid(value, "\(value) does not fit \(Int64.min)…\(Int64.max)")
    }
    place.content = .value(.int(number))
  }

  func box(_ value: some Encodable) throws {
    switch value {
    case let value as JSONValue: place.content = .value(value)
    case let object as JSONObject: place.content = .value(.object(object))
    case let date as Date: encode(date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)))
    case let data as Data: encode(data.base64EncodedString())
    case let url as URL: encode(url.absoluteString)
    case let number as Decimal:
      if let integer = Int64(number.description) {
        try encode(integer)
      } else {
        try encode(Double(number.description) ?? .nan)
      }
    default: try value.encode(to: self)
    }
  }

  private func invalid(_ value: Any, _ text: String) -> EncodingError {
    .invalidValue(value, EncodingError.Context(codingPath: codingPath, debugDescription: text))
  }
}

private struct ObjectContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let place: EncodedPlace
  let codingPath: [any CodingKey]

  private func encoder(_ key: any CodingKey) -> ValueEncoder {
    ValueEncoder(place: place.member(key.stringValue), codingPath: codingPath + [key])
  }

  func encodeNil(forKey key: Key) { encoder(key).encodeNil() }
  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws { try encoder(key).box(value) }
  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> { encoder(key).container(keyedBy: type) }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    encoder(key).unkeyedContainer()
  }
  func superEncoder() -> any Encoder { encoder(JSONCodingKey(stringValue: "super")) }
  func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }
}

private struct ArrayContainer: UnkeyedEncodingContainer {
  let place: EncodedPlace
  let codingPath: [any CodingKey]

  var count: Int { place.elementCount }

  private func encoder() -> ValueEncoder {
    let path = codingPath + [JSONCodingKey(intValue: count)]
    return ValueEncoder(place: place.element(), codingPath: path)
  }

  func encodeNil() { encoder().encodeNil() }
  func encode<Value: Encodable>(_ value: Value) throws { try encoder().box(value) }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    encoder().container(keyedBy: type)
  }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
  func superEncoder() -> any Encoder { encoder() }
}

/// A JSON value is a part of an `Encodable` type like any other.
extension JSONValue: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .null: try container.encodeNil()
    case .bool(let flag): try container.encode(flag)
    case .int(let number): try container.encode(number)
    case .double(let number): try container.encode(number)
    case .string(let text): try container.encode(text)
    case .array(let elements): try container.encode(elements)
    case .object(let object): try object.encode(to: encoder)
    }
  }
}

extension JSONObject: Encodable {
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: JSONCodingKey.self)
    for (name, value) in self { try container.encode(value, forKey: JSONCodingKey(stringValue: name)) }
  }
}
