import DockrionCore

/// A payload made up from an input schema.
enum ExamplePayload {
  /// A payload that the agent takes, as JSON text, for the curl lines.
  static func text(_ schema: InputSchema?) throws(JSONWriteError) -> String {
    var writer = ByteWriter()
    try writer.append(json: object(schema?.document.object))
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  static func object(_ schema: JSONObject?) -> JSONObject {
    guard let schema else { return ["text": "Hello, world!"] }
    let properties = schema["properties"]?.object ?? [:]
    let required = Set((schema["required"]?.array ?? []).compactMap(\.string))
    return JSONObject(
      properties.filter { required.contains($0.key) }.map { ($0.key, value($0.value.object, 0)) })
  }

  private static func value(_ schema: JSONObject?, _ depth: Int) -> JSONValue {
    guard let schema, depth < 8 else { return .null }
    if let choice = schema["enum"]?.array?.first { return choice }
    let type = schema["type"]?.string ?? schema["type"]?.array?.first?.string
    switch type {
    case "integer": return 1
    case "number": return 0.5
    case "boolean": return true
    case "array": return .array([value(schema["items"]?.object, depth + 1)].filter { $0 != .null })
    case "object":
      let properties = schema["properties"]?.object ?? [:]
      let required = Set((schema["required"]?.array ?? []).compactMap(\.string))
      return .object(
        JSONObject(
          properties.filter { required.contains($0.key) }.map { ($0.key, value($0.value.object, depth + 1)) })
      )
    default: return "Hello, world!"
    }
  }
}
