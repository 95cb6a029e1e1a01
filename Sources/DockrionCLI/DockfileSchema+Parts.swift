import DockrionCore

/// The kinds of values that a Dockfile has.
extension DockfileSchema {
  static let variable: JSONValue = ["$ref": "#/$defs/variable"]
  static let null: JSONValue = ["type": "null"]
  static let truths: [JSONValue] = [true] + ["true", "yes", "on"].flatMap(spellings)
  static let flags: [JSONValue] = truths + [false] + ["false", "no", "off"].flatMap(spellings)

  /// The spellings that the reader takes, for YAML readers to which they are text.
  private static func spellings(of word: String) -> [JSONValue] {
    [.string(word), .string(word.prefix(1).uppercased() + word.dropFirst()), .string(word.uppercased())]
  }

  static func described(_ description: String, _ schema: JSONObject) -> JSONObject {
    JSONObject([("description", .string(description))] + schema.map { ($0.key, $0.value) })
  }

  static func properties(_ known: [(String, JSONObject)], withoutEffect: [String]) -> JSONObject {
    let unused = withoutEffect.map { name in
      (name, JSONValue.object(["description": "Has no effect here.", "deprecated": true]))
    }
    return JSONObject(known.map { ($0.0, JSONValue.object($0.1)) } + unused)
  }

  static func section(
    _ description: String, required: [String] = [], nullable: Bool = true,
    _ known: [(String, JSONObject)], withoutEffect: [String] = []
  ) -> JSONObject {
    var schema: JSONObject = [
      "description": .string(description),
      "type": nullable && required.isEmpty ? ["object", "null"] : "object",
      "additionalProperties": false,
      "properties": .object(properties(known, withoutEffect: withoutEffect)),
    ]
    if !required.isEmpty { schema["required"] = .array(required.map { .string($0) }) }
    return schema
  }

  static func text(_ description: String) -> JSONObject {
    described(description, ["type": ["string", "number", "boolean", "null"]])
  }

  static func boolean(_ description: String, default fallback: Bool) -> JSONObject {
    described(description, ["anyOf": [["enum": .array(flags)], variable, null], "default": .bool(fallback)])
  }

  static func word(_ description: String, _ words: [String], default fallback: String) -> JSONObject {
    described(
      description,
      ["anyOf": [["enum": .array(words.map { .string($0) })], variable, null], "default": .string(fallback)])
  }

  /// An integer; in quotes or with `_` it is text to a schema, which cannot check its range.
  static func integer(_ description: String, _ range: ClosedRange<Int>, default fallback: Int? = nil)
    -> JSONObject
  {
    number(description, range, text: "^[-+]?[0-9][0-9_]*$", fallback)
  }

  /// A count of bytes, with or without a unit.
  static func bytes(_ description: String, _ range: ClosedRange<Int>, default fallback: Int) -> JSONObject {
    number(description, range, text: "^[-+]?[0-9][0-9_]* ?([kKMGT]B|[KMGT]iB|B)?$", fallback)
  }

  private static func number(
    _ description: String, _ range: ClosedRange<Int>, text pattern: String, _ fallback: Int?
  ) -> JSONObject {
    var schema = described(
      description,
      [
        "anyOf": [
          [
            "type": "integer", "minimum": .int(Int64(range.lowerBound)),
            "maximum": .int(Int64(range.upperBound)),
          ],
          ["type": "string", "pattern": .string(pattern)], variable, null,
        ]
      ])
    if let fallback { schema["default"] = .int(Int64(fallback)) }
    return schema
  }
}
