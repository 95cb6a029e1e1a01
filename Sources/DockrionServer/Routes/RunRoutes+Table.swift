import DockrionCore

extension RunRoutes {
  static let routes = [listRoute, showRoute, cancelRoute, eventsRoute]

  private static let unknown = "NOT_FOUND: there is no such run."

  private static let listRoute = Route(
    .get, "/runs", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "listRuns", summary: "Lists runs, newest first",
      parameters: [.status, .limit, .cursor, .agentOfRuns],
      success: ["200": RouteDocumentation.json("A page of runs.", "RunPage")],
      failures: [503: OpenAPI.unavailable])
  ) { (handlers, request) throws(ErrorReply) in try handlers.runs.list(request) }

  private static let showRoute = Route(
    .get, "/runs/{run_id}", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "run", summary: "Shows a run",
      success: ["200": RouteDocumentation.json("The run.", "Run")],
      failures: [404: unknown, 503: OpenAPI.unavailable])
  ) { (handlers, request) throws(ErrorReply) in try handlers.runs.show(request) }

  private static let cancelRoute = Route(
    .delete, "/runs/{run_id}", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "cancelRun", summary: "Cancels a run", parameters: [.reason],
      success: ["200": RouteDocumentation.json("The run is cancelled.", "CancelledRun")],
      failures: [
        404: unknown, 409: "RUN_FINISHED: the run has ended already.", 503: OpenAPI.unavailable,
      ])
  ) { (handlers, request) throws(ErrorReply) in try handlers.runs.cancel(request) }

  private static let eventsRoute = Route(
    .get, "/runs/{run_id}/events", .key, isOfAgent: true,
    RouteDocumentation(
      operationID: "runEvents", summary: "Streams a run's events, stored and live",
      parameters: [.fromSequence, .timeout, .events, .lastEventID],
      success: [
        "200": RouteDocumentation.stream("The run's events, each with its `id`.", headers: []),
        "204": ["description": "The run has ended, and nothing is left to deliver."],
      ],
      failures: [
        404: unknown, 429: "TOO_MANY_SUBSCRIBERS: the run has as many subscribers as may be.",
        503: OpenAPI.unavailable,
      ])
  ) { (handlers, request) throws(ErrorReply) in try handlers.runs.events(request) }
}
