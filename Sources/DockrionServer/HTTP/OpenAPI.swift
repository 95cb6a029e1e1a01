import DockrionCore
import DockrionLoop

/// `GET /openapi.json`: the routes as OpenAPI 3.1, made from the router.
struct OpenAPI {
  private let server: Server

  init(_ server: Server) { self.server = server }

  var document: JSONObject {
    var paths: JSONObject = [:]
    for route in server.router.routes {
      var item: JSONObject = [:]
      if route.path.contains("{run_id}") { item["parameters"] = [Self.shown(.runID)] }
      for (method, endpoint) in route.endpoints { item["\(method)"] = .object(operation(endpoint)) }
      paths[route.path] = .object(item)
    }
    var components: JSONObject = [
      "schemas": .object(Schemas.all(output: server.dockfile.outputSchema)),
      "headers": .object(Self.headers),
    ]
    if case .apiKey(_, let header, let bearer) = server.dockfile.auth {
      var schemes: JSONObject = ["apiKey": ["type": "apiKey", "in": "header", "name": .string(header)]]
      if bearer { schemes["bearer"] = ["type": "http", "scheme": "bearer"] }
      components["securitySchemes"] = .object(schemes)
    }
    return [
      "openapi": "3.1.0",
      "info": ["title": .string(server.dockfile.agent.name), "version": .string(Dockrion.version)],
      "paths": .object(paths),
      "components": .object(components),
    ]
  }

  private func operation(_ endpoint: Endpoint) -> JSONObject {
    var operation: JSONObject = [
      "operationId": .string("\(endpoint)"), "summary": .string(Self.summary(endpoint)),
    ]
    let parameters = Parameter.of(endpoint).filter {
      $0.name != Parameter.newRunID.name || server.dockfile.streaming.allowClientIDs
    }
    if !parameters.isEmpty {
      let isRedis = server.dockfile.streaming.redis != nil
      operation["parameters"] = .array(parameters.map { Self.shown($0, redis: isRedis) })
    }
    if endpoint.startsAgent {
      let schema = server.inputSchema?.document ?? ["type": "object"]
      operation["requestBody"] = ["required": true, "content": ["application/json": ["schema": schema]]]
    }
    operation["responses"] = .object(responses(endpoint))
    if endpoint.needsKey, case .apiKey(_, _, let bearer) = server.dockfile.auth {
      operation["security"] = bearer ? [["apiKey": []], ["bearer": []]] : [["apiKey": []]]
    }
    return operation
  }

  private static func shown(_ parameter: Parameter, redis: Bool = false) -> JSONValue {
    [
      "name": .string(parameter.name), "in": .string(parameter.place.rawValue),
      "description": .string(parameter.description), "required": .bool(parameter.place == .path),
      "schema": .object(redis ? parameter.redisSchema ?? parameter.schema : parameter.schema),
    ]
  }

  // MARK: Responses

  private func responses(_ endpoint: Endpoint) -> JSONObject {
    var responses = Self.success(endpoint)
    for status in failures(endpoint).sorted() {
      var response: JSONObject = [
        "description": .string(Self.reason(status, endpoint)),
        "content": ["application/json": ["schema": Schemas.reference("Error")]],
      ]
      switch status {
      case 401: response["headers"] = ["WWW-Authenticate": ["$ref": "#/components/headers/WWW-Authenticate"]]
      case 429, 503: response["headers"] = ["Retry-After": ["$ref": "#/components/headers/Retry-After"]]
      default: break
      }
      responses["\(status)"] = .object(response)
    }
    return responses
  }

  private static func success(_ endpoint: Endpoint) -> JSONObject {
    func json(_ description: String, _ schema: String) -> JSONValue {
      [
        "description": .string(description),
        "content": ["application/json": ["schema": Schemas.reference(schema)]],
      ]
    }
    func text(_ description: String, _ type: String) -> JSONObject {
      [
        "200": [
          "description": .string(description), "content": .object([type: ["schema": ["type": "string"]]]),
        ]
      ]
    }
    switch endpoint {
    case .invoke: return ["200": json("The agent's output.", "Output")]
    case .invokeStream: return ["200": stream("The agent's events.", headers: ["X-Request-Id"])]
    case .createRun:
      var accepted =
        json("The run, or the one that the first request with this key made.", "AcceptedRun").object ?? [:]
      accepted["headers"] = ["Location": ["$ref": "#/components/headers/Location"]]
      accepted["links"] = .object(links([.run, .runEvents, .cancelRun]))
      return ["202": .object(accepted)]
    case .listRuns: return ["200": json("A page of runs.", "RunPage")]
    case .run: return ["200": json("The run.", "Run")]
    case .cancelRun: return ["200": json("The run is cancelled.", "CancelledRun")]
    case .runEvents:
      return [
        "200": stream("The run's events, each with its `id`.", headers: []),
        "204": ["description": "The run has ended, and nothing is left to deliver."],
      ]
    case .health: return ["200": json("The process lives.", "Health")]
    case .ready: return ["200": json("Runs are taken.", "Ready")]
    case .metrics: return text("Prometheus text format 0.0.4.", "text/plain")
    case .info: return ["200": json("The agent.", "Info")]
    case .schema: return ["200": json("What goes in and out.", "AgentSchema")]
    case .openAPI:
      return [
        "200": [
          "description": "OpenAPI 3.1.", "content": ["application/json": ["schema": ["type": "object"]]],
        ]
      ]
    case .welcome: return text("A page.", "text/html")
    }
  }

  /// What can be asked of the run that a reply names.
  private static func links(_ endpoints: [Endpoint]) -> JSONObject {
    JSONObject(
      endpoints.map { endpoint in
        let run: JSONValue = ["run_id": "$response.body#/run_id"]
        return ("\(endpoint)", ["operationId": .string("\(endpoint)"), "parameters": run])
      })
  }

  /// OpenAPI 3.1 has no word for what a stream consists of; the schema is that of each event, as 3.2 has it.
  private static func stream(_ description: String, headers names: [String]) -> JSONValue {
    let headers = (names + ["Cache-Control", "X-Accel-Buffering"]).map { name in
      (name, JSONValue.object(["$ref": .string("#/components/headers/\(name)")]))
    }
    return [
      "description": .string(description), "headers": .object(JSONObject(headers)),
      "content": [
        "text/event-stream": ["schema": Schemas.reference("ServerSentEvent")]
      ],
    ]
  }

  private func failures(_ endpoint: Endpoint) -> Set<Int> {
    // What a request's framing is refused with comes before its route is known.
    var statuses: Set = [400, 413, 417, 431, 501]
    if endpoint.startsAgent { statuses.formUnion([403, 415, 422, 429, 503, 504]) }
    if endpoint.needsKey, server.auth.isEnabled { statuses.insert(401) }
    if !server.dockfile.expose.allowedHosts.isEmpty, endpoint != .health, endpoint != .ready {
      statuses.insert(421)
    }
    switch endpoint {
    case .invoke: statuses.insert(500)
    case .createRun: statuses.insert(409)
    case .listRuns: statuses.insert(503)
    case .run: statuses.formUnion([404, 503])
    case .cancelRun: statuses.formUnion([404, 409, 503])
    case .runEvents: statuses.formUnion([404, 429, 503])
    case .ready: statuses.insert(503)
    case .invokeStream, .health, .metrics, .info, .schema, .openAPI, .welcome: break
    }
    return statuses
  }

  private static func reason(_ status: Int, _ endpoint: Endpoint) -> String {
    switch status {
    case 400:
      "VALIDATION_ERROR: the request cannot be read, or a value is out of its range; the sentence names it."
    case 401: "AUTH_ERROR: no valid key."
    case 403: "ORIGIN_NOT_ALLOWED: a page of another site has sent it."
    case 404: "NOT_FOUND: there is no such run."
    case 409 where endpoint == .cancelRun: "RUN_FINISHED: the run has ended already."
    case 409: "RUN_EXISTS: the id is taken. IDEMPOTENCY_KEY_REUSED: the key belongs to another body."
    case 413: "PAYLOAD_TOO_LARGE: the body has too many bytes."
    case 417: "VALIDATION_ERROR: the request expects something else than 100-continue."
    case 415: "UNSUPPORTED_MEDIA_TYPE: the body is not application/json."
    case 421: "WRONG_HOST: expose.allowed_hosts does not name this host."
    case 422: "VALIDATION_ERROR: the payload does not fit the agent's input schema."
    case 429 where endpoint == .runEvents: "TOO_MANY_SUBSCRIBERS: the run has as many subscribers as may be."
    case 429: "TOO_MANY_RUNS: agents, payloads or events take as much room as they may."
    case 431: "VALIDATION_ERROR: the request's head has too many bytes or fields."
    case 500: "AGENT_ERROR, or the agent's own code: the agent failed."
    case 501: "NOT_IMPLEMENTED: an unknown transfer coding."
    case 503:
      "SHUTTING_DOWN: the server is stopping. BACKEND_UNAVAILABLE, NOT_READY: Redis cannot be asked now."
    case 504: "RUN_TIMEOUT: the agent took longer than max_run_duration."
    default: "\(HTTPStatus.phrase(status))"
    }
  }

  private static let headers: JSONObject = [
    "Retry-After": [
      "description": "Seconds after which to try again.", "required": true,
      "schema": ["type": "integer", "minimum": 0],
    ],
    "WWW-Authenticate": ["required": true, "schema": ["type": "string"]],
    "Location": [
      "description": "The run.", "required": true, "schema": ["type": "string", "pattern": "^/runs/"],
    ],
    "X-Request-Id": [
      "description": "The request_id of the events.", "required": true,
      "schema": .object(Parameter.idSchema),
    ],
    "Cache-Control": ["required": true, "schema": ["const": "no-cache, no-transform"]],
    "X-Accel-Buffering": ["required": true, "schema": ["const": "no"]],
  ]

  private static func summary(_ endpoint: Endpoint) -> String {
    switch endpoint {
    case .invoke: "Runs the agent and answers with its output"
    case .invokeStream: "Runs the agent and streams its events"
    case .createRun: "Starts a run"
    case .listRuns: "Lists runs, newest first"
    case .run: "Shows a run"
    case .cancelRun: "Cancels a run"
    case .runEvents: "Streams a run's events, stored and live"
    case .health: "Says that the process lives"
    case .ready: "Says whether runs are taken"
    case .metrics: "Prometheus metrics"
    case .info: "Describes the agent"
    case .schema: "The agent's input and output schemas"
    case .openAPI: "This document"
    case .welcome: "A page for people"
    }
  }
}
