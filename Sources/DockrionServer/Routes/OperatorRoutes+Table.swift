import DockrionCore

extension OperatorRoutes {
  static func routes(_ api: ServedAPI) -> [Route] { all + (api.hasPrefixes ? [agentsRoute] : []) }

  private static let agentsRoute = Route(
    .get, "/agents", .anyone,
    RouteDocumentation(
      operationID: "agents", summary: "Lists the agents",
      success: ["200": RouteDocumentation.json("The agents that are served.", "AgentList")])
  ) { (handlers, request) throws(ErrorReply) in try handlers.operators.agents(request) }

  private static let all = [
    Route(
      .get, "/health", .anyone,
      RouteDocumentation(
        operationID: "health", summary: "Says that the process lives", isForAnyHost: true,
        success: ["200": RouteDocumentation.json("The process lives.", "Health")])
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.health(request) },
    Route(
      .get, "/ready", .anyone,
      RouteDocumentation(
        operationID: "ready", summary: "Says whether runs are taken", parameters: [.readyAgent],
        isForAnyHost: true, success: ["200": RouteDocumentation.json("Runs are taken.", "Ready")],
        failures: [404: "NOT_FOUND: there is no such agent.", 503: OpenAPI.unavailable])
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.ready(request) },
    Route(
      .get, "/metrics", .anyone,
      RouteDocumentation(
        operationID: "metrics", summary: "Prometheus metrics",
        success: RouteDocumentation.text("Prometheus text format 0.0.4.", "text/plain"))
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.metrics(request) },
    Route(
      .get, "/info", .anyone, isOfAgent: true,
      RouteDocumentation(
        operationID: "info", summary: "Describes the agent",
        success: ["200": RouteDocumentation.json("The agent.", "Info")])
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.info(request) },
    Route(
      .get, "/schema", .anyone, isOfAgent: true,
      RouteDocumentation(
        operationID: "schema", summary: "The agent's input and output schemas",
        success: ["200": RouteDocumentation.json("What goes in and out.", "AgentSchema")])
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.schema(request) },
    Route(
      .get, "/openapi.json", .anyone,
      RouteDocumentation(
        operationID: "openAPI", summary: "This document",
        success: [
          "200": [
            "description": "OpenAPI 3.1.", "content": ["application/json": ["schema": ["type": "object"]]],
          ]
        ])
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.openAPI(request) },
    Route(
      .get, "/", .anyone,
      RouteDocumentation(
        operationID: "welcome", summary: "A page for people",
        success: RouteDocumentation.text("A page.", "text/html"))
    ) { (handlers, request) throws(ErrorReply) in try handlers.operators.welcome(request) },
  ]
}
