import DockrionCore

extension OpenAPI {
  /// The bodies of replies, and the events of streams.
  enum Schemas {
    static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    /// - Parameter outputs: what the Dockfile says of agents' outputs, by the name of the schema of the reply.
    static func all(outputs: [(String, JSONValue?)]) -> JSONObject {
      var all = bodies
      for (name, output) in outputs {
        all[name] = object([
          ("success", ["const": true]), ("output", output ?? ["type": "object"]),
          ("metadata", metadata(optional: [])),
        ])
      }
      for (name, schema) in events { all[name] = schema }
      all["Event"] = [
        "description": "What stands behind data: in a stream; type says which one it is.",
        "anyOf": .array(events.names.map(reference)),
      ]
      all["ServerSentEvent"] = object(
        [
          ("event", ["type": "string", "description": "The type in the data."]),
          (
            "data",
            ["type": "string", "contentMediaType": "application/json", "contentSchema": reference("Event")]
          ),
          ("id", ["type": "string", "pattern": "^[0-9]+$", "description": "The sequence, behind /runs."]),
          ("retry", ["const": 2000, "description": "In the first event of a connection, behind /runs."]),
        ], optional: ["id", "retry"])
      return all
    }

    /// An object of these members and no others, each of them required unless it is named as optional.
    private static func object(
      _ members: [(String, JSONValue)], optional: [String] = [], description: String? = nil
    ) -> JSONValue {
      var schema: JSONObject = [:]
      if let description { schema["description"] = .string(description) }
      schema["type"] = "object"
      schema["required"] = .array(members.map(\.0).filter { !optional.contains($0) }.map { .string($0) })
      schema["properties"] = .object(JSONObject(members))
      schema["additionalProperties"] = false
      return .object(schema)
    }

    private static let string: JSONValue = ["type": "string"]
    private static let anyObject: JSONValue = ["type": "object"]
    private static let id: JSONValue = .object(Parameter.idSchema)
    private static let moment: JSONValue = ["type": "string", "format": "date-time"]
    private static let momentOrNull: JSONValue = ["type": ["string", "null"], "format": "date-time"]
    private static let count: JSONValue = ["type": "integer", "minimum": 0]
    private static let sequence: JSONValue = ["type": "integer", "minimum": 1]
    private static let seconds: JSONValue = ["type": "number", "minimum": 0]
    private static let strings: JSONValue = ["type": "array", "items": ["type": "string"]]

    private static func metadata(optional: [String]) -> JSONValue {
      object(
        [("agent", string), ("framework", string), ("latency_seconds", seconds)], optional: optional)
    }

    // MARK: Bodies

    private static let bodies: JSONObject = [
      "Error": object(
        [
          ("success", ["const": false]),
          ("error", ["type": "string", "description": "A sentence for a person."]),
          ("code", ["type": "string", "description": "A word in capitals; an agent may have its own."]),
          ("details", ["type": "object", "description": "What an agent's error says besides."]),
        ], optional: ["details"]),
      "AcceptedRun": object([
        ("run_id", id), ("status", ["const": "accepted"]), ("events_url", string), ("created_at", moment),
      ]),
      "CancelledRun": object([("run_id", id), ("status", ["const": "cancelled"])]),
      "Run": object([
        ("run_id", id), ("agent", string),
        ("status", ["enum": .array(RunStatus.allCases.map { .string($0.rawValue) })]),
        ("created_at", moment), ("started_at", momentOrNull), ("completed_at", momentOrNull),
        ("output", ["type": ["object", "null"]]),
        (
          "error",
          [
            "anyOf": [
              ["type": "null"],
              object([
                ("message", string), ("code", string), ("details", ["type": ["object", "null"]]),
              ]),
            ]
          ]
        ),
        ("metadata", metadata(optional: ["latency_seconds"])), ("last_sequence", count),
      ]),
      "RunPage": object([
        ("runs", ["type": "array", "items": reference("Run")]),
        ("next_cursor", ["type": ["string", "null"]]),
      ]),
      "Health": object([
        ("status", ["const": "ok"]), ("service", string), ("version", string), ("timestamp", moment),
        ("agent", string), ("framework", string),
      ]),
      "Ready": object([("success", ["const": true]), ("status", ["const": "ready"]), ("agent", string)]),
      "Info": object(
        [
          ("success", ["const": true]),
          (
            "agent",
            object([("name", string), ("framework", string), ("description", ["type": ["string", "null"]])])
          ),
          ("auth_enabled", ["type": "boolean"]), ("version", string), ("metadata", anyObject),
          ("agents", strings),
        ], optional: ["agents"]),
      "AgentList": object([
        (
          "agents",
          [
            "type": "array",
            "items": object([
              ("name", string), ("framework", string), ("description", ["type": ["string", "null"]]),
              ("default", ["type": "boolean"]),
            ]),
          ]
        )
      ]),
      "AgentSchema": object([
        ("success", ["const": true]), ("agent", string), ("input_schema", ["type": ["object", "null"]]),
        ("output_schema", [:]),
      ]),
    ]

    // MARK: Events

    private static let events: JSONObject = [
      "StartedEvent": event("started", [("agent_name", string), ("framework", string)]),
      "ProgressEvent": event(
        "progress",
        [
          ("step", string), ("progress", ["type": "number", "minimum": 0, "maximum": 1]), ("message", string),
        ], optional: ["message"]),
      "CheckpointEvent": event("checkpoint", [("name", string), ("data", anyObject)]),
      "TokenEvent": event(
        "token", [("content", string), ("finish_reason", string)], optional: ["finish_reason"]),
      "StepEvent": event(
        "step",
        [
          ("node_name", string),
          ("node", ["type": "string", "description": "node_name again, behind /invoke/stream."]),
          ("duration_ms", ["type": "number"]), ("input_keys", strings), ("output_keys", strings),
        ], optional: ["node", "duration_ms"]),
      "CompleteEvent": event(
        "complete", [("output", anyObject), ("latency_seconds", seconds), ("metadata", anyObject)]),
      "ErrorEvent": event(
        "error", [("error", string), ("code", string), ("details", anyObject)], optional: ["details"]),
      "CancelledEvent": event("cancelled", [("reason", string)], optional: ["reason"]),
      "CustomEvent": custom,
      "HeartbeatEvent": event("heartbeat", [("timestamp", moment)], isStored: false),
      "GapEvent": ofSubscription(
        "gap", [("from_sequence", sequence), ("to_sequence", sequence)],
        "Events that are not stored any more: the client can no longer have them."),
      "TimeoutEvent": ofSubscription(
        "timeout", [("message", string), ("last_sequence", count)],
        "The subscription's time is over; subscribe again to go on."),
    ]

    private static let ids: [(String, JSONValue)] = [("request_id", id), ("run_id", id)]
    private static let oneID: JSONValue = [["required": ["request_id"]], ["required": ["run_id"]]]

    private static func event(
      _ type: String, _ fields: [(String, JSONValue)], optional: [String] = [], isStored: Bool = true
    ) -> JSONValue {
      let own: [(String, JSONValue)] = isStored ? [("sequence", sequence), ("timestamp", moment)] : []
      let members = ids + [("type", ["const": .string(type)])] + own + fields
      var schema = object(members, optional: optional + ids.map(\.0)).object ?? [:]
      schema["oneOf"] = oneID
      return .object(schema)
    }

    private static func ofSubscription(
      _ type: String, _ fields: [(String, JSONValue)], _ description: String
    ) -> JSONValue {
      object([("run_id", id), ("type", ["const": .string(type)])] + fields, description: description)
    }

    private static let custom: JSONValue = [
      "description": "An event of the agent's own, with the fields that it likes.",
      "type": "object",
      "required": ["type", "sequence", "timestamp"],
      "properties": [
        "request_id": id, "run_id": id,
        "type": [
          "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$",
          "not": ["enum": .array(EventKind.reservedNames.map { .string($0) })],
        ],
        "sequence": sequence, "timestamp": moment,
      ],
      "oneOf": oneID,
    ]
  }
}
