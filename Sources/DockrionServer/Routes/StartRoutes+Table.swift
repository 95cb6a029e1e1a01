import DockrionCore

extension StartRoutes {
  static func routes(_ api: ServedAPI) -> [Route] {
    var routes: [Route] = []
    if api.hasRest { routes.append(invokeRoute) }
    if api.hasStreaming { routes.append(streamRoute) }
    if api.hasRuns { routes.append(createRoute(api)) }
    return routes
  }

  private static let failures: [Int: String] = [
    403: "ORIGIN_NOT_ALLOWED: a page of another site has sent it.",
    415: "UNSUPPORTED_MEDIA_TYPE: the body is not application/json.",
    422: "VALIDATION_ERROR: the payload does not fit the agent's input schema.",
    429: "TOO_MANY_RUNS: agents, payloads or events take as much room as they may.",
    503: OpenAPI.unavailable,
    504: "RUN_TIMEOUT: the agent took longer than max_run_duration.",
  ]

  private static let invokeRoute = Route(
    .post, "/invoke", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "invoke", summary: "Runs the agent and answers with its output", takesPayload: true,
      success: ["200": RouteDocumentation.json("The agent's output.", "Output")],
      failures: failures.merging([500: "AGENT_ERROR, or the agent's own code: the agent failed."]) { $1 })
  ) { (handlers, request) throws(ErrorReply) in try handlers.start.invoke(request) }

  private static let streamRoute = Route(
    .post, "/invoke/stream", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "invokeStream", summary: "Runs the agent and streams its events",
      parameters: [.requestID], takesPayload: true,
      success: ["200": RouteDocumentation.stream("The agent's events.", headers: ["X-Request-Id"])],
      failures: failures)
  ) { (handlers, request) throws(ErrorReply) in try handlers.start.stream(request) }

  private static func createRoute(_ api: ServedAPI) -> Route {
    var accepted: JSONObject = [
      "description": "The run, or the one that the first request with this key made.",
      "content": ["application/json": ["schema": OpenAPI.Schemas.reference("AcceptedRun")]],
    ]
    accepted["headers"] = ["Location": ["$ref": "#/components/headers/Location"]]
    accepted["links"] = .object(RouteDocumentation.links(["run", "runEvents", "cancelRun"]))
    return Route(
      .post, "/runs", .key, isOfAgent: true,
      RouteDocumentation(
        operationID: "createRun", summary: "Starts a run",
        parameters: [api.allowsClientIDs ? [.newRunID] : [], [.idempotencyKey]].flatMap { $0 },
        takesPayload: true, success: ["202": .object(accepted)],
        failures: failures.merging([
          409:
            "RUN_EXISTS: the id is taken. IDEMPOTENCY_KEY_REUSED: the key belongs to another body or agent."
        ]) { $1 })
    ) { (handlers, request) throws(ErrorReply) in try handlers.start.create(request) }
  }
}
