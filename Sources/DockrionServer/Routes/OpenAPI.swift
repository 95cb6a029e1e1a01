import DockrionCore
import DockrionLoop

/// `GET /openapi.json`: the routes as OpenAPI 3.1.
///
/// With several agents every route of theirs stands there once more below `/agents/{name}`, with that agent's schemas.
struct OpenAPI {
  private let api: ServedAPI
  private let places: [RoutePlace]

  init(_ api: ServedAPI, _ places: [RoutePlace]) { (self.api, self.places) = (api, places) }

  static let unavailable =
    "SHUTTING_DOWN: the server is stopping. BACKEND_UNAVAILABLE, NOT_READY: Redis or an agent cannot be asked now."

  var document: JSONObject {
    var paths: JSONObject = [:]
    for place in places { paths[place.path] = .object(item(place, api.standard, prefix: "")) }
    if api.hasPrefixes {
      for agent in api.agents {
        for place in places where place.isOfAgent {
          let prefix = "/agents/\(agent.name)"
          paths[prefix + place.path] = .object(item(place, agent, prefix: prefix))
        }
      }
    }
    var components: JSONObject = [
      "schemas": .object(Schemas.all(outputs: outputs)), "headers": .object(Self.headers),
    ]
    if case .apiKey(_, let header, let bearer) = api.auth {
      var schemes: JSONObject = ["apiKey": ["type": "apiKey", "in": "header", "name": .string(header)]]
      if bearer { schemes["bearer"] = ["type": "http", "scheme": "bearer"] }
      components["securitySchemes"] = .object(schemes)
    }
    return [
      "openapi": "3.1.0",
      "info": ["title": .string(api.standard.name), "version": .string(ServerVersion.text)],
      "paths": .object(paths),
      "components": .object(components),
    ]
  }

  /// What each agent's output looks like, by the name of the schema of its reply.
  private var outputs: [(String, JSONValue?)] {
    [("Output", api.standard.outputSchema)]
      + (api.hasPrefixes ? api.agents.map { (Self.outputName($0), $0.outputSchema) } : [])
  }

  private static func outputName(_ agent: ServedAgent) -> String { "Output-\(agent.name)" }

  private func item(_ place: RoutePlace, _ agent: ServedAgent, prefix: String) -> JSONObject {
    var item: JSONObject = [:]
    if place.path.contains("{run_id}") { item["parameters"] = [Self.shown(.runID)] }
    for route in place.routes {
      item["\(route.method)"] = .object(operation(route, agent, prefix: prefix))
    }
    return item
  }

  private func operation(_ route: Route, _ agent: ServedAgent, prefix: String) -> JSONObject {
    let documentation = route.documentation
    let suffix = prefix.isEmpty ? "" : "-\(agent.name)"
    var operation: JSONObject = [
      "operationId": .string(documentation.operationID + suffix), "summary": .string(documentation.summary),
    ]
    // Below a prefix they are one agent's already.
    let parameters = documentation.parameters.filter {
      prefix.isEmpty || $0.name != Parameter.agentOfRuns.name
    }
    if !parameters.isEmpty {
      operation["parameters"] = .array(parameters.map { Self.shown($0, redis: api.isRedis) })
    }
    if documentation.takesPayload {
      let schema = agent.inputSchema?.document ?? ["type": "object"]
      operation["requestBody"] = ["required": true, "content": ["application/json": ["schema": schema]]]
    }
    operation["responses"] = .object(responses(route, agent, prefix: prefix))
    if route.access == .key, case .apiKey(_, _, let bearer) = api.auth {
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

  private func responses(_ route: Route, _ agent: ServedAgent, prefix: String) -> JSONObject {
    var responses = route.documentation.success
    if !prefix.isEmpty { Self.specialize(&responses, agent) }
    for (status, reason) in failures(route).sorted(by: { $0.key < $1.key }) {
      var response: JSONObject = [
        "description": .string(reason),
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

  /// Names what is the agent's own: its output, and the operations that go on with a run.
  private static func specialize(_ responses: inout JSONObject, _ agent: ServedAgent) {
    if responses["200"] == RouteDocumentation.json("The agent's output.", "Output") {
      responses["200"] = RouteDocumentation.json("The agent's output.", outputName(agent))
    }
    guard var accepted = responses["202"]?.object, let links = accepted["links"]?.object else { return }
    accepted["links"] = .object(
      RouteDocumentation.links(links.names.map { "\($0)-\(agent.name)" }))
    responses["202"] = .object(accepted)
  }

  private func failures(_ route: Route) -> [Int: String] {
    // What a request's framing is refused with comes before its route is known.
    var failures = [
      400:
        "VALIDATION_ERROR: the request cannot be read, or a value is out of its range; the sentence names it.",
      413: "PAYLOAD_TOO_LARGE: the body has too many bytes.",
      417: "VALIDATION_ERROR: the request expects something else than 100-continue.",
      431: "VALIDATION_ERROR: the request's head has too many bytes or fields.",
      501: "NOT_IMPLEMENTED: an unknown transfer coding.",
    ]
    if route.access == .key, api.auth != .none { failures[401] = "AUTH_ERROR: no valid key." }
    if api.hasAllowedHosts, !route.documentation.isForAnyHost {
      failures[421] = "WRONG_HOST: expose.allowed_hosts does not name this host."
    }
    return failures.merging(route.documentation.failures) { $1 }
  }

  private static let headers: JSONObject = [
    "Retry-After": [
      "description": "Seconds after which to try again.", "required": true,
      "schema": ["type": "integer", "minimum": 0],
    ],
    "WWW-Authenticate": ["required": true, "schema": ["type": "string"]],
    "Location": [
      "description": "The run.", "required": true, "schema": ["type": "string", "pattern": "/runs/"],
    ],
    "X-Request-Id": [
      "description": "The request_id of the events.", "required": true,
      "schema": .object(Parameter.idSchema),
    ],
    "Cache-Control": ["required": true, "schema": ["const": "no-cache, no-transform"]],
    "X-Accel-Buffering": ["required": true, "schema": ["const": "no"]],
  ]
}
