import DockrionCore

// What the server's own layers say of a request, as replies: section 2 of the wire protocol.
extension ErrorReply {
  init(_ refusal: AgentRefusal) {
    switch refusal {
    case .stopping: self = .stopping
    case .outage(let reason): self.init(503, "NOT_READY", reason, retryAfter: 1)
    case .tooMany(let most, nil):
      self.init(429, "TOO_MANY_RUNS", "\(most) agents are running, as many as may", retryAfter: 1)
    case .tooMany(let most, let agent?):
      self.init(429, "TOO_MANY_RUNS", "\(most) runs of \(agent) are running, as many as may", retryAfter: 1)
    case .payload(let bytes, let most):
      self.init(
        413, "PAYLOAD_TOO_LARGE",
        "body: it takes \(bytes) bytes of memory; at most \(most) are taken (runtime.max_payload_bytes)")
    case .payloads(let held, let most):
      self.init(
        429, "TOO_MANY_RUNS",
        "the payloads of running agents take \(held) bytes; with this one they would be more than "
          + "\(most), as many as may", retryAfter: 1)
    }
  }

  static let stopping = ErrorReply(503, "SHUTTING_DOWN", "the server is stopping", retryAfter: 5)

  init(_ problem: BackendProblem) {
    switch problem {
    case .refused(let refusal): self.init(refusal)
    case .keyReused(let id):
      self.init(
        409, "IDEMPOTENCY_KEY_REUSED",
        "Idempotency-Key: this key made run \"\(id)\" with another body or for another agent")
    case .runExists(let id): self.init(409, "RUN_EXISTS", "run_id: \"\(id)\" is taken")
    case .badCursor(let text):
      self.init(
        400, "VALIDATION_ERROR", "cursor: \(quoted(text)) is not a cursor that this server gave")
    case .noRoom(let bytes, let most, let free):
      self.init(
        429, "TOO_MANY_RUNS",
        "the events of the runs that are kept take \(bytes) of \(most) bytes, and none can be given up; a new run is "
          + "taken while \(free) bytes are free (streaming.memory.max_bytes)", retryAfter: 1)
    case .unavailable(let reason): self.init(503, "BACKEND_UNAVAILABLE", reason, retryAfter: 1)
    }
  }

  init(_ problem: Payload.Problem) {
    switch problem {
    case .unreadable(let reason):
      self.init(400, "VALIDATION_ERROR", "body: a JSON object is needed: \(reason)")
    case .unfit(let violation):
      self.init(422, "VALIDATION_ERROR", "the payload does not fit the input schema: \(violation)")
    }
  }
}
