import DockrionCore

/// What a request may say besides its path and its body: what is checked and what OpenAPI shows are one list.
struct Parameter {
  enum Place: String { case query, header, path }

  let name: String
  let place: Place
  let description: String
  /// What its text must look like.
  let schema: JSONObject
  /// The same where runs are kept in Redis, if it differs.
  var redisSchema: JSONObject?

  /// The shape of ids that clients choose.
  static let idSchema: JSONObject = ["type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"]

  static let runID = Parameter(name: "run_id", place: .path, description: "The run.", schema: idSchema)

  static let requestID = Parameter(
    name: "X-Request-Id", place: .header,
    description: "The request's id in its events; one that has not this form is replaced by a UUID.",
    schema: ["type": "string"])

  static let newRunID = Parameter(
    name: "run_id", place: .query, description: "The new run's id, chosen by the client.", schema: idSchema)

  static let idempotencyKey = Parameter(
    name: "Idempotency-Key", place: .header,
    description: "Makes a repetition answer with the run that the first request made.",
    schema: [
      "type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$",
      "maxLength": .int(Int64(Limits.idempotencyKeyBytesMax)),
    ])

  static let status = Parameter(
    name: "status", place: .query, description: "Only runs that stand there.",
    schema: ["type": "string", "enum": .array(RunStatus.allCases.map { .string($0.rawValue) })])

  static let limit = Parameter(
    name: "limit", place: .query, description: "Runs on a page, at most.",
    schema: integer(1...Limits.runsPageMax, default: Limits.runsPageDefault))

  static let cursor = Parameter(
    name: "cursor", place: .query, description: "The next_cursor of the page before.",
    schema: ["type": "string", "pattern": "^[0-9]{1,18}$"],
    redisSchema: ["type": "string", "pattern": "^[0-9]{1,18}\\.[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"])

  static let agentOfRuns = Parameter(
    name: "agent", place: .query, description: "Only runs of the agent with that name.", schema: agentName)

  static let readyAgent = Parameter(
    name: "agent", place: .query, description: "The agent that is meant; the default one without.",
    schema: agentName)

  private static let agentName: JSONObject = [
    "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
  ]

  static let reason = Parameter(
    name: "reason", place: .query, description: "Stands in the run's cancelled event.",
    schema: ["type": "string", "maxLength": .int(Int64(Limits.cancelReasonCharactersMax))])

  static let fromSequence = Parameter(
    name: "from_sequence", place: .query, description: "The sequence to begin with.",
    schema: integer(0...Int.max - 1))

  static let timeout = Parameter(
    name: "timeout", place: .query, description: "Seconds that the subscription lasts.",
    schema: integer(1...3600))

  static let events = Parameter(
    name: "events", place: .query,
    description:
      "A preset, or event types and custom:NAME separated by commas; the mandatory ones always come.",
    schema: ["type": "string", "pattern": .string("^((\(presets))|(\(words))(,(\(words)))*)?$")])

  private static let presets = EventsFilter.presetNames.joined(separator: "|")
  private static let words =
    (EventKind.allCases.map(\.name) + ["custom:[A-Za-z_][A-Za-z0-9_.:-]{0,127}"]).joined(separator: "|")

  static let lastEventID = Parameter(
    name: "Last-Event-ID", place: .header,
    description: "The last event that the client has; delivery goes on after it.",
    schema: ["type": "string"])

  private static func integer(_ range: ClosedRange<Int>, default fallback: Int? = nil) -> JSONObject {
    var schema: JSONObject = [
      "type": "integer", "minimum": .int(Int64(range.lowerBound)), "maximum": .int(Int64(range.upperBound)),
    ]
    if let fallback { schema["default"] = .int(Int64(fallback)) }
    return schema
  }
}
