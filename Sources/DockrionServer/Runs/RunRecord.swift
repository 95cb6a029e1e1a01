import DockrionCore

/// What is known of a run besides its events; `GET /runs/{run_id}` shows it.
struct RunRecord {
  var id: String
  var status: RunStatus
  /// Nanoseconds since 1970, as the other moments.
  var createdAt: Int64
  var startedAt: Int64?
  var completedAt: Int64?
  /// JSON.
  var output: [UInt8]?
  /// `{"message","code","details"}` in JSON.
  var error: [UInt8]?
  var agentName: String
  var framework: String
  var latencySeconds: Double?
  var lastSequence: Int

  func write(to out: inout ByteWriter) {
    out.append("{\"run_id\":\"")
    out.append(id)
    out.append("\",\"agent\":")
    out.append(json: agentName)
    out.append(",\"status\":\"")
    out.append(status.rawValue)
    out.append("\",\"created_at\":")
    Self.write(moment: createdAt, to: &out)
    out.append(",\"started_at\":")
    Self.write(moment: startedAt, to: &out)
    out.append(",\"completed_at\":")
    Self.write(moment: completedAt, to: &out)
    out.append(",\"output\":")
    if let output { out.append(output) } else { out.append("null") }
    out.append(",\"error\":")
    if let error { out.append(error) } else { out.append("null") }
    out.append(",\"metadata\":{\"agent\":")
    out.append(json: agentName)
    out.append(",\"framework\":")
    out.append(json: framework)
    if let latencySeconds {
      out.append(",\"latency_seconds\":")
      out.append(latencySeconds.description)
    }
    out.append("},\"last_sequence\":")
    out.append(decimal: lastSequence)
    out.append("}")
  }

  private static func write(moment: Int64?, to out: inout ByteWriter) {
    guard let moment else { return out.append("null") }
    out.append("\"")
    out.append(timestamp: moment)
    out.append("\"")
  }

  /// An error as the record has it.
  static func json(_ error: AgentError) -> [UInt8] {
    var out = ByteWriter(capacity: 128)
    out.append("{\"message\":")
    out.append(json: error.message)
    out.append(",\"code\":")
    out.append(json: error.code)
    out.append(",\"details\":")
    let start = out.count
    do {
      if let details = error.details { try out.append(json: details) } else { out.append("null") }
    } catch {
      out.truncate(to: start)
      out.append("null")
    }
    out.append("}")
    return out.array()
  }
}
