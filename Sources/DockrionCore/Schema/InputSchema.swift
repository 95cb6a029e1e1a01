/// What a payload must look like: the part of JSON Schema that `io_schema.input` may use.
///
///     let schema = try InputSchema(["properties": ["text": ["type": "string"]], "required": ["text"]])
///     schema.check(["text": 5])?.description     // "/text: 5 is not a string"
///
/// Enforced are `type`, `properties`, `required`, `enum`, `const` and `items`, to any depth up to 64. Other
/// keywords are listed in `unenforced` and otherwise passed over, save for annotations such as `title`.
public struct InputSchema: Sendable {
  /// The schema as it was written, for `/schema`.
  public let document: JSONValue
  /// RFC 6901 pointers to the keywords that are not enforced, such as `/properties/text/minLength`.
  public let unenforced: [String]

  private let root: SchemaNode
  private let further: Further?

  /// What the keywords that are enforced cannot say; nil for a payload that is right.
  typealias Further = @Sendable (JSONObject) -> InputSchemaViolation?

  /// Compiles a schema. Its `type` must be `object`, which it also is where it is left out.
  ///
  /// - Throws: `InputSchemaError` with everything that is wrong with it.
  public init(_ document: JSONObject) throws(InputSchemaError) {
    try self.init(document, further: nil)
  }

  /// The same.
  ///
  /// - Parameter further: is asked about payloads that fit the keywords.
  init(_ document: JSONObject, further: Further?) throws(InputSchemaError) {
    var compiler = SchemaCompiler()
    let root = compiler.compileRoot(document)
    guard compiler.issues.isEmpty else { throw InputSchemaError(issues: compiler.issues) }
    self.document = .object(document)
    self.unenforced = compiler.unenforced
    self.root = root
    self.further = further
  }

  /// The first thing in the payload that does not fit, or nil when all of it fits.
  ///
  /// The work grows with the schema and with the arrays that it looks into, not with the rest of the payload.
  public func check(_ payload: JSONObject) -> InputSchemaViolation? {
    root.check(members: payload) ?? root.checkValue(.object(payload)) ?? further?(payload)
  }
}

/// Why a payload does not fit its schema.
public struct InputSchemaViolation: Error, Sendable, Equatable, CustomStringConvertible {
  /// Where in the payload, as an RFC 6901 pointer; empty for the payload itself.
  public internal(set) var pointer: String
  /// What does not fit, such as `5 is not a string`.
  public let message: String

  public var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }

  /// The same violation, seen from the value that holds this one under `part`.
  func inside(_ part: String) -> InputSchemaViolation {
    var outer = self
    outer.pointer = "/" + escapedForPointer(part) + pointer
    return outer
  }
}

/// Why a schema cannot be used.
public struct InputSchemaError: Error, Sendable, Equatable, CustomStringConvertible {
  public struct Issue: Sendable, Equatable, CustomStringConvertible {
    /// Where in the schema, as an RFC 6901 pointer.
    public let pointer: String
    public let message: String

    public var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }
  }

  public let issues: [Issue]

  /// One line an issue.
  public var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// One schema, compiled. The checks allocate nothing unless they find something.
final class SchemaNode: Sendable {
  struct Types: OptionSet, Sendable {
    let rawValue: UInt8

    static let null = Types(rawValue: 1)
    static let boolean = Types(rawValue: 2)
    static let integer = Types(rawValue: 4)
    static let number = Types(rawValue: 8)
    static let string = Types(rawValue: 16)
    static let array = Types(rawValue: 32)
    static let object = Types(rawValue: 64)

    /// The types in the words and the order in which messages name them.
    static let named: [(name: String, type: Types)] = [
      ("object", .object), ("array", .array), ("string", .string), ("integer", .integer), ("number", .number),
      ("boolean", .boolean), ("null", .null),
    ]

    init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Every type that a value has; a number without a fractional part is an integer too.
    init(of value: JSONValue) {
      switch value {
      case .null: self = .null
      case .bool: self = .boolean
      case .int: self = [.integer, .number]
      case .double(let number):
        self = number.rounded(.towardZero) == number && number.isFinite ? [.integer, .number] : .number
      case .string: self = .string
      case .array: self = .array
      case .object: self = .object
      }
    }

    /// Such as `a string or null`.
    var phrase: String {
      let words = Self.named.filter { contains($0.type) }.map { name, _ in
        name == "null" ? name : (name.first.map("aeio".contains) ?? false ? "an " : "a ") + name
      }
      return words.joined(separator: " or ")
    }
  }

  /// nil allows every type.
  let types: Types?
  let properties: [(name: String, node: SchemaNode)]
  let required: [String]
  let items: SchemaNode?
  /// The strings of `enum` in UTF-8, which alone counts, nil where it is absent; and all its values.
  let enumStrings: Set<[UInt8]>?
  let enumValues: [JSONValue]
  let constant: JSONValue?

  init(
    types: Types?, properties: [(name: String, node: SchemaNode)], required: [String], items: SchemaNode?,
    allowed: [JSONValue]?, constant: JSONValue?
  ) {
    self.types = types
    self.properties = properties
    self.required = required
    self.items = items
    enumStrings = allowed.map { Set($0.compactMap(\.string).map { Array($0.utf8) }) }
    enumValues = allowed ?? []
    self.constant = constant
  }

  func check(_ value: JSONValue) -> InputSchemaViolation? {
    if let types, types.isDisjoint(with: Types(of: value)) {
      return InputSchemaViolation(pointer: "", message: "\(shown(value)) is not \(types.phrase)")
    }
    if let violation = checkValue(value) { return violation }
    switch value {
    case .object(let object): return check(members: object)
    case .array(let elements):
      guard let items else { return nil }
      for index in elements.indices {
        if let violation = items.check(elements[index]) { return violation.inside("\(index)") }
      }
      return nil
    default: return nil
    }
  }

  /// Checks `required` and `properties`.
  func check(members object: JSONObject) -> InputSchemaViolation? {
    for name in required where object[name] == nil {
      return InputSchemaViolation(pointer: "", message: "it is required").inside(name)
    }
    for (name, node) in properties {
      guard let member = object[name] else { continue }
      if let violation = node.check(member) { return violation.inside(name) }
    }
    return nil
  }

  /// Checks `enum` and `const`.
  func checkValue(_ value: JSONValue) -> InputSchemaViolation? {
    if let constant, !equal(value, constant) {
      return InputSchemaViolation(pointer: "", message: "\(shown(value)) is not \(shown(constant))")
    }
    guard let enumStrings else { return nil }
    if case .string(let text) = value {
      if enumStrings.contains(Array(text.utf8)) { return nil }
    } else if enumValues.contains(where: { equal($0, value) }) {
      return nil
    }
    let listed = enumValues.prefix(8).map(shown).joined(separator: ", ")
    return InputSchemaViolation(
      pointer: "",
      message: "\(shown(value)) is not one of \(listed)" + (enumValues.count > 8 ? ", …" : ""))
  }
}

/// Equality of JSON Schema, where 1 and 1.0 are the same number.
private func equal(_ left: JSONValue, _ right: JSONValue) -> Bool {
  switch (left, right) {
  case (.int(let integer), .double(let number)), (.double(let number), .int(let integer)):
    Int64(exactly: number) == integer
  // Texts that differ in normal form alone are two.
  case (.string(let left), .string(let right)): left.utf8.elementsEqual(right.utf8)
  case (.array(let left), .array(let right)):
    left.count == right.count && zip(left, right).allSatisfy(equal)
  case (.object(let left), .object(let right)):
    left.count == right.count
      && left.allSatisfy { name, value in right[name].map { equal(value, $0) } ?? false }
  default: left == right
  }
}

/// A value as a message shows it: text quoted and cut to 60 characters, arrays and objects by their kind.
private func shown(_ value: JSONValue) -> String {
  switch value {
  case .null: "null"
  case .bool(let flag): "\(flag)"
  case .int(let number): "\(number)"
  case .double(let number): "\(number)"
  case .string(let text): quoted(text)
  case .array(let elements): elements.isEmpty ? "[]" : "an array"
  case .object(let object): object.isEmpty ? "{}" : "an object"
  }
}

/// A member's name as one part of an RFC 6901 pointer.
func escapedForPointer(_ name: String) -> String {
  name.replacing("~", with: "~0").replacing("/", with: "~1")
}

/// The name that such a part stands for.
func unescapedFromPointer(_ part: Substring) -> String {
  String(part).replacing("~1", with: "/").replacing("~0", with: "~")
}
