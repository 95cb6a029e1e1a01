import DockrionCore

/// `GET /openapi.json`: the routes as OpenAPI 3.1, made from the router.
struct OpenAPI {
  private let server: Server

  init(_ server: Server) { self.server = server }

  var document: JSONObject {
    var paths: JSONObject = [:]
    for route in server.router.routes {
      var item: JSONObject = [:]
      if route.path.contains("{run_id}") {
        item["parameters"] = [parameter("run_id", in: "path", ["type": "string"], required: true)]
      }
      for (method, endpoint) in route.endpoints { item["\(method)"] = .object(operation(endpoint)) }
      paths[route.path] = .object(item)
    }
    var document: JSONObject = [
      "openapi": "3.1.0",
      "info": ["title": .string(server.dockfile.agent.name), "version": .string(Dockrion.version)],
      "paths": .object(paths),
      "components": [
        "schemas": [
          "Error": [
            "type": "object", "required": ["success", "error", "code"],
            "properties": [
              "success": ["const": false], "error": ["type": "string"], "code": ["type": "string"],
            ],
          ]
        ]
      ],
    ]
    if case .apiKey(_, let header, let bearer) = server.dockfile.auth {
      var schemes: JSONObject = ["apiKey": ["type": "apiKey", "in": "header", "name": .string(header)]]
      if bearer { schemes["bearer"] = ["type": "http", "scheme": "bearer"] }
      var components = document["components"]?.object ?? [:]
      components["securitySchemes"] = .object(schemes)
      document["components"] = .object(components)
    }
    return document
  }

  private func parameter(
    _ name: String, in place: String, _ schema: JSONObject, required: Bool = false
  ) -> JSONValue {
    ["name": .string(name), "in": .string(place), "required": .bool(required), "schema": .object(schema)]
  }

  private func operation(_ endpoint: Endpoint) -> JSONObject {
    let text = Self.texts(endpoint)
    var responses: JSONObject = [:]
    for status in text.statuses {
      var response: JSONObject = ["description": .string("\(HTTPStatus.phrase(status))")]
      if status >= 400 {
        response["content"] = ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]]
      } else if status != 204 {
        response["content"] = .object([text.contentType: ["schema": .object(text.schema)]])
      }
      responses["\(status)"] = .object(response)
    }
    if endpoint.needsKey, server.auth.isEnabled {
      responses["401"] = [
        "description": "Unauthorized",
        "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]],
      ]
    }
    var operation: JSONObject = [
      "operationId": .string("\(endpoint)"), "summary": .string(text.summary),
      "responses": .object(responses),
    ]
    if !text.parameters.isEmpty {
      operation["parameters"] = .array(
        text.parameters.map { parameter($0.name, in: $0.place, ["type": .string($0.type)]) })
    }
    if endpoint == .invoke || endpoint == .invokeStream || endpoint == .createRun {
      let schema = (server.dockfile.inputSchema ?? server.agent.inputSchema)?.document ?? ["type": "object"]
      operation["requestBody"] = ["required": true, "content": ["application/json": ["schema": schema]]]
    }
    if endpoint.needsKey, case .apiKey(_, _, let bearer) = server.dockfile.auth {
      operation["security"] = bearer ? [["apiKey": []], ["bearer": []]] : [["apiKey": []]]
    }
    return operation
  }

  private struct Text {
    var summary: String
    var statuses: [Int]
    var contentType = "application/json"
    var schema: JSONObject = ["type": "object"]
    var parameters: [(name: String, place: String, type: String)] = []
  }

  private static let payloadErrors = [400, 413, 415, 422, 429, 503]

  private static func texts(_ endpoint: Endpoint) -> Text {
    let stream = "text/event-stream"
    let string: JSONObject = ["type": "string"]
    switch endpoint {
    case .invoke:
      return Text(
        summary: "Runs the agent and answers with its output", statuses: [200] + payloadErrors + [500, 504])
    case .invokeStream:
      return Text(
        summary: "Runs the agent and streams its events", statuses: [200] + payloadErrors,
        contentType: stream,
        schema: string, parameters: [("X-Request-Id", "header", "string")])
    case .createRun:
      return Text(
        summary: "Starts a run", statuses: [202, 409] + payloadErrors,
        parameters: [("run_id", "query", "string"), ("Idempotency-Key", "header", "string")])
    case .listRuns:
      return Text(
        summary: "Lists runs, newest first", statuses: [200, 400],
        parameters: [
          ("status", "query", "string"), ("limit", "query", "integer"), ("cursor", "query", "string"),
        ])
    case .run: return Text(summary: "Shows a run", statuses: [200, 400, 404])
    case .cancelRun:
      return Text(
        summary: "Cancels a run", statuses: [200, 400, 404, 409], parameters: [("reason", "query", "string")])
    case .runEvents:
      return Text(
        summary: "Streams a run's events, stored and live", statuses: [200, 204, 400, 404, 429],
        contentType: stream,
        schema: string,
        parameters: [
          ("from_sequence", "query", "integer"), ("timeout", "query", "integer"),
          ("events", "query", "string"),
          ("Last-Event-ID", "header", "string"),
        ])
    case .health: return Text(summary: "Says that the process lives", statuses: [200])
    case .ready: return Text(summary: "Says whether runs are taken", statuses: [200, 503])
    case .metrics:
      return Text(summary: "Prometheus metrics", statuses: [200], contentType: "text/plain", schema: string)
    case .info: return Text(summary: "Describes the agent", statuses: [200])
    case .schema: return Text(summary: "The agent's input and output schemas", statuses: [200])
    case .openAPI: return Text(summary: "This document", statuses: [200])
    case .welcome:
      return Text(summary: "A page for people", statuses: [200], contentType: "text/html", schema: string)
    }
  }
}
