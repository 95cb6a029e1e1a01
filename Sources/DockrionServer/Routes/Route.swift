import DockrionCore
import DockrionLoop

/// One thing that can be asked for: what is checked, what OpenAPI shows and what `Allow` names come from this value.
///
/// A class, since requests pass it on and nothing in it ever changes: copies of its parts would be counted.
final class Route: Sendable {
  /// Who may ask: section 7 of the wire protocol.
  enum Access {
    case anyone
    /// Those with a key, where keys are used.
    case key
  }

  typealias Handler = @Sendable (RouteHandlers, RouteRequest) throws(ErrorReply) -> Void

  let method: HTTPMethod
  /// The path; `{run_id}` stands for one segment.
  let path: String
  let access: Access
  /// True when each agent has it below `/agents/{name}` as well.
  let isOfAgent: Bool
  let documentation: RouteDocumentation
  /// The query parameters that it knows.
  let queryNames: [String]
  let handle: Handler

  init(
    _ method: HTTPMethod, _ path: String, _ access: Access, isOfAgent: Bool = false,
    _ documentation: RouteDocumentation, _ handle: @escaping Handler
  ) {
    self.method = method
    self.path = path
    self.access = access
    self.isOfAgent = isOfAgent
    self.documentation = documentation
    queryNames = documentation.parameters.filter { $0.place == .query }.map(\.name)
    self.handle = handle
  }
}

/// The groups of routes, as their handlers reach them.
final class RouteHandlers {
  let start: StartRoutes
  let runs: RunRoutes
  let operators: OperatorRoutes

  init(start: StartRoutes, runs: RunRoutes, operators: OperatorRoutes) {
    (self.start, self.runs, self.operators) = (start, runs, operators)
  }
}

/// What OpenAPI says of a route.
struct RouteDocumentation {
  let operationID: String
  let summary: String
  /// Besides the run in the path.
  var parameters: [Parameter] = []
  /// True when the body is the agent's payload.
  var takesPayload = false
  /// True when it is answered whatever host is asked for.
  var isForAnyHost = false
  /// The responses that are no errors, by status.
  let success: JSONObject
  /// The errors that this route has besides those that any has, by status.
  var failures: [Int: String] = [:]

  // MARK: Responses

  static func json(_ description: String, _ schema: String) -> JSONValue {
    [
      "description": .string(description),
      "content": ["application/json": ["schema": OpenAPI.Schemas.reference(schema)]],
    ]
  }

  static func text(_ description: String, _ type: String) -> JSONObject {
    [
      "200": [
        "description": .string(description), "content": .object([type: ["schema": ["type": "string"]]]),
      ]
    ]
  }

  /// OpenAPI 3.1 has no word for what a stream consists of; the schema is that of each event, as 3.2 has it.
  static func stream(_ description: String, headers names: [String]) -> JSONValue {
    let headers = (names + ["Cache-Control", "X-Accel-Buffering"]).map { name in
      (name, JSONValue.object(["$ref": .string("#/components/headers/\(name)")]))
    }
    return [
      "description": .string(description), "headers": .object(JSONObject(headers)),
      "content": ["text/event-stream": ["schema": OpenAPI.Schemas.reference("ServerSentEvent")]],
    ]
  }

  /// What can be asked of the run that a reply names.
  static func links(_ operations: [String]) -> JSONObject {
    JSONObject(
      operations.map { operation in
        let run: JSONValue = ["run_id": "$response.body#/run_id"]
        return (operation, ["operationId": .string(operation), "parameters": run])
      })
  }
}
