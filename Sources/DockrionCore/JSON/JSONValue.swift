/// A JSON value, as an agent receives and returns it.
///
///     let output: JSONObject = ["passed": true, "score": 0.02, "notes": ["checked twice"]]
///
/// Integers that fit 64 bits keep their exact value; other numbers are `Double`.
public enum JSONValue: Sendable, Hashable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)
}

extension JSONValue {
  /// The text of a string, or nil.
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  /// The value of a boolean, or nil.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  /// The elements of an array, or nil.
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  /// The members of an object, or nil.
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// The value of an integer, or of a number without a fractional part that fits 64 bits; else nil.
  public var int: Int? {
    switch self {
    case .int(let value): Int(value)
    case .double(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The value of any number, or nil. Integers above 2⁵³ are rounded.
  public var double: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The word for this kind of value in JSON Schema: `null`, `boolean`, `integer`, `number`, `string`,
  /// `array` or `object`.
  public var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "boolean"
    case .int: "integer"
    case .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
  ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .double(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) { self = .object(JSONObject(elements)) }

  public init(_ value: String) { self = .string(value) }
  public init(_ value: Int) { self = .int(Int64(value)) }
  public init(_ value: Double) { self = .double(value) }
  public init(_ value: Bool) { self = .bool(value) }
}
