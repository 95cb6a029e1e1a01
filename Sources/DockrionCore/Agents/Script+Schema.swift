// What a payload of the scripted agent may be, for clients: the ranges are those that it is read with.
extension Script {
  static let tokensRange = 0...10_000_000
  static let tokenBytesRange = 0...(Limits.eventBytesMax / 2)
  /// Milliseconds.
  static let pauseRange = 0.0...86_400_000
  /// Milliseconds.
  static let blockRange = 0.0...3_600_000
  /// Milliseconds.
  static let durationRange = 0.0...1e15
  /// What lies outside 0…1 is cut by the event.
  static let progressRange = -1e300...1e300

  static let schema = try? InputSchema(
    [
      "type": "object",
      "properties": [
        "emit": ["type": "array", "items": entry],
        "tokens": integer(tokensRange),
        "interval_ms": number(pauseRange),
        "token_bytes": integer(tokenBytesRange),
        "stamp": ["type": "boolean"],
        "hang": ["type": "boolean"],
        "block_ms": number(blockRange),
        "fail": string,
        "code": string,
        "fail_details": ["type": "object"],
        "text": string,
        "output": ["type": "object"],
      ],
    ], further: violation)

  /// Ranges and the entries' fields, which the keywords that are enforced leave to the agent: who asks for what cannot be
  /// played is told before anything starts.
  @Sendable private static func violation(of input: JSONObject) -> InputSchemaViolation? {
    let fields = Fields(object: input, pointer: "")
    do {
      for (index, entry) in try fields.array("emit").enumerated() {
        _ = try Act(entry, pointer: "/emit/\(index)")
      }
      _ = try fields.int("tokens", in: tokensRange)
      _ = try fields.number("interval_ms", in: pauseRange)
      _ = try fields.int("token_bytes", in: tokenBytesRange)
      _ = try fields.number("block_ms", in: blockRange)
      return nil
    } catch {
      return InputSchemaViolation(pointer: "", message: (error as? AgentError)?.message ?? "\(error)")
    }
  }

  private static let entry: JSONValue = [
    "type": "object",
    "required": ["type"],
    "properties": ["type": ["type": "string", "enum": .array(entries.map { .string($0.type) })]],
    "oneOf": .array(
      entries.map { entry in
        var properties: JSONObject = ["type": ["const": .string(entry.type)]]
        for (name, schema) in entry.required + entry.optional { properties[name] = schema }
        let required: [JSONValue] = ["type"] + entry.required.map { .string($0.0) }
        return ["properties": .object(properties), "required": .array(required)]
      }),
  ]

  private typealias Members = [(String, JSONValue)]

  private static let entries: [(type: String, required: Members, optional: Members)] = [
    ("progress", [("step", string), ("progress", number(progressRange))], [("message", orNull("string"))]),
    ("checkpoint", [("name", string)], [("data", orNull("object"))]),
    ("token", [("content", string)], [("finish_reason", orNull("string"))]),
    (
      "step", [("node_name", string)],
      [("duration_ms", number(durationRange, orNull: true)), ("input_keys", names), ("output_keys", names)]
    ),
    ("custom", [("name", string)], [("data", orNull("object"))]),
    ("sleep", [("ms", number(pauseRange))], []),
  ]

  private static let string: JSONValue = ["type": "string"]
  private static let names: JSONValue = ["type": ["array", "null"], "items": ["type": "string"]]

  private static func orNull(_ type: String) -> JSONValue { ["type": [.string(type), "null"]] }

  private static func integer(_ range: ClosedRange<Int>) -> JSONValue {
    ["type": "integer", "minimum": JSONValue(range.lowerBound), "maximum": JSONValue(range.upperBound)]
  }

  private static func number(_ range: ClosedRange<Double>, orNull: Bool = false) -> JSONValue {
    [
      "type": orNull ? ["number", "null"] : "number", "minimum": JSONValue(range.lowerBound),
      "maximum": JSONValue(range.upperBound),
    ]
  }
}
