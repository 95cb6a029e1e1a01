import DockrionCore
import DockrionLoop

/// Section 8 of the wire protocol: what operators and tools ask for.
final class OperatorRoutes {
  private let api: ServedAPI
  private let board: AgentBoard
  private let backend: any RunBackend
  private let replies: Replies
  private let router: Router
  private let writeMetrics: (inout ByteWriter) -> Void

  init(
    _ api: ServedAPI, _ board: AgentBoard, _ backend: any RunBackend, _ replies: Replies, _ router: Router,
    writeMetrics: @escaping (inout ByteWriter) -> Void
  ) {
    self.api = api
    self.board = board
    self.backend = backend
    self.replies = replies
    self.router = router
    self.writeMetrics = writeMetrics
  }

  func health(_ request: RouteRequest) throws(ErrorReply) {
    var time = ByteWriter(capacity: 32)
    time.append(timestamp: Clock.wallNanoseconds())
    try send(
      request,
      [
        "status": "ok", "service": .string("runtime:\(api.standard.name)"),
        "version": .string(ServerVersion.text),
        "timestamp": .string(String(decoding: time.bytes, as: UTF8.self)),
        "agent": .string(api.standard.name), "framework": .string(api.standard.framework),
      ])
  }

  func ready(_ request: RouteRequest) throws(ErrorReply) {
    guard board.takesRuns else { throw .stopping }
    let agent = try readyAgent(request.exchange)
    if let outage = agent.host.outage ?? backend.outage {
      throw ErrorReply(503, "NOT_READY", outage, retryAfter: 1)
    }
    try send(request, ["success": true, "status": "ready", "agent": .string(agent.name)])
  }

  /// The agent that `?agent=` names; without, it is the default one.
  private func readyAgent(_ exchange: Exchange) throws(ErrorReply) -> ServedAgent {
    guard let name = Query(exchange.query)["agent"] else { return api.standard }
    guard let agent = board.agent(named: name) else { throw board.unknownAgent(name) }
    return agent
  }

  func metrics(_ request: RouteRequest) throws(ErrorReply) {
    replies.send(
      request.exchange, 200, contentType: "text/plain; version=0.0.4; charset=utf-8", write: writeMetrics)
  }

  func agents(_ request: RouteRequest) throws(ErrorReply) {
    let agents = api.agents.map { agent -> JSONValue in
      [
        "name": .string(agent.name), "framework": .string(agent.framework),
        "description": agent.description.map(JSONValue.string) ?? .null,
        "default": .bool(agent === api.standard),
      ]
    }
    try send(request, ["agents": .array(agents)])
  }

  func info(_ request: RouteRequest) throws(ErrorReply) {
    let agent = request.agent
    var info: JSONObject = [
      "success": true,
      "agent": [
        "name": .string(agent.name), "framework": .string(agent.framework),
        "description": agent.description.map(JSONValue.string) ?? .null,
      ],
      "auth_enabled": .bool(api.auth != .none), "version": .string(ServerVersion.text),
      "metadata": .object(agent.metadata),
    ]
    if api.hasPrefixes { info["agents"] = .array(api.agents.map { .string($0.name) }) }
    try send(request, info)
  }

  func schema(_ request: RouteRequest) throws(ErrorReply) {
    let agent = request.agent
    try send(
      request,
      [
        "success": true, "agent": .string(agent.name),
        "input_schema": agent.inputSchema?.document ?? .null,
        "output_schema": agent.outputSchema ?? .null,
      ])
  }

  func openAPI(_ request: RouteRequest) throws(ErrorReply) {
    try send(request, OpenAPI(api, router.places).document)
  }

  func welcome(_ request: RouteRequest) throws(ErrorReply) {
    let example: String
    do { example = try ExamplePayload.text(api.standard.inputSchema) } catch {
      throw ErrorReply(500, "INTERNAL_ERROR", error.description)
    }
    let host = request.exchange.header("Host")
    replies.send(request.exchange, 200, contentType: "text/html; charset=utf-8") { out in
      out.append(WelcomePage.html(api, router.places, host: host, example))
    }
  }

  private func send(_ request: RouteRequest, _ object: JSONObject) throws(ErrorReply) {
    var writer = ByteWriter(capacity: 512)
    do { try writer.append(json: object) } catch {
      throw ErrorReply(500, "INTERNAL_ERROR", error.description)
    }
    replies.send(request.exchange, 200, body: writer.bytes)
  }
}

extension AgentBoard {
  /// That no agent has that name, with those that there are.
  func unknownAgent(_ name: String) -> ErrorReply {
    let known = agents.prefix(Limits.namesShownMax).map(\.name).joined(separator: ", ")
    let more = agents.count - Limits.namesShownMax
    return ErrorReply(
      404, "NOT_FOUND",
      "there is no agent \(quoted(name)) here; there is \(known)\(more > 0 ? " and \(more) more, see /agents" : "")"
    )
  }
}
