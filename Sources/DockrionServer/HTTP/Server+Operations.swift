import DockrionCore
import DockrionLoop

// Section 8 of the wire protocol: what operators and tools ask for.
extension Server {
  func operate(_ exchange: Exchange, _ endpoint: Endpoint) throws(ErrorReply) {
    body.writer.removeAll(keepingAtMost: 256 << 10)
    var type = "application/json"
    switch endpoint {
    case .ready:
      guard isServing else { throw ErrorReply(503, "SHUTTING_DOWN", "the server is stopping", retryAfter: 5) }
      if let outage = backend.outage { throw ErrorReply(503, "NOT_READY", outage, retryAfter: 1) }
      try writeObject(["success": true, "status": "ready", "agent": .string(dockfile.agent.name)])
    case .metrics:
      type = "text/plain; version=0.0.4; charset=utf-8"
      writeMetrics(to: &body.writer)
    case .info:
      try writeObject([
        "success": true,
        "agent": [
          "name": .string(dockfile.agent.name), "framework": .string(dockfile.agent.framework),
          "description": dockfile.agent.description.map(JSONValue.string) ?? .null,
        ],
        "auth_enabled": .bool(auth.isEnabled), "version": .string(Dockrion.version),
        "metadata": .object(dockfile.metadata),
      ])
    case .schema:
      try writeObject([
        "success": true, "agent": .string(dockfile.agent.name),
        "input_schema": inputSchema?.document ?? .null,
        "output_schema": dockfile.outputSchema ?? .null,
      ])
    case .openAPI: try writeObject(OpenAPI(self).document)
    case .welcome:
      type = "text/html; charset=utf-8"
      body.writer.append(WelcomePage.html(dockfile, router, host: exchange.header("Host"), try exampleBody()))
    default:
      var time = ByteWriter(capacity: 32)
      time.append(timestamp: Clock.wallNanoseconds())
      try writeObject([
        "status": "ok", "service": .string("runtime:\(dockfile.agent.name)"),
        "version": .string(Dockrion.version),
        "timestamp": .string(String(decoding: time.bytes, as: UTF8.self)),
        "agent": .string(dockfile.agent.name), "framework": .string(dockfile.agent.framework),
      ])
    }
    reply(exchange, 200, body: body.writer.bytes, contentType: type)
  }

  private func writeObject(_ object: JSONObject) throws(ErrorReply) {
    do { try body.writer.append(json: object) } catch {
      throw ErrorReply(500, "INTERNAL_ERROR", error.description)
    }
  }

  /// A payload that the agent takes, as JSON text, for the curl lines.
  func exampleBody() throws(ErrorReply) -> String {
    var writer = ByteWriter()
    let schema = inputSchema?.document.object
    do { try writer.append(json: ExamplePayload.object(schema)) } catch {
      throw ErrorReply(500, "INTERNAL_ERROR", error.description)
    }
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// A payload made up from an input schema.
enum ExamplePayload {
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
