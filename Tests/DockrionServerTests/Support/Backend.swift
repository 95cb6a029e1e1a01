import Testing

/// Where a server keeps its runs. The contract's tests take each in turn:
///
///     try withServer(on: backend, "scripted", maxEventsPerRun: 10) { server throws in … }
enum Backend: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case memory, redis

  var testDescription: String { rawValue }
}

/// Runs one server on the backend, for Redis with a `redis-server` of its own.
///
/// - Parameters:
///   - streaming: further members of the Dockfile's `streaming`, in YAML's flow form.
///   - sections: further sections of the Dockfile.
///   - maxEventsPerRun: the backend's `max_events_per_run`.
///   - retentionSeconds: how long it keeps a run after its end.
func withServer(
  on backend: Backend, _ handler: String, streaming: String = "", sections: String = "",
  maxEventsPerRun: Int? = nil, retentionSeconds: Int? = nil,
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (ServerProcess) throws -> Void
) throws {
  var limits: [String] = []
  if let maxEventsPerRun { limits.append("max_events_per_run: \(maxEventsPerRun)") }
  switch backend {
  case .memory:
    if let retentionSeconds { limits.append("retention_seconds: \(retentionSeconds)") }
    let members = ["memory: {\(limits.joined(separator: ", "))}", streaming].filter { !$0.isEmpty }
    let text = dockfile(handler, "streaming: {\(members.joined(separator: ", "))}\n" + sections)
    try withServer(text, sourceLocation: sourceLocation, body)
  case .redis:
    if let retentionSeconds { limits.append("stream_ttl_seconds: \(retentionSeconds)") }
    let redis = try RedisProcess()
    let text = redisDockfile(
      redis.url, handler, redis: limits.joined(separator: ", "), streaming: streaming, sections: sections)
    try withServer(text, sourceLocation: sourceLocation, body)
    withExtendedLifetime(redis) {}
  }
}

/// A Dockfile for one agent whose runs are kept in Redis.
///
///     redisDockfile(redis.url, redis: "lease_seconds: 2", streaming: "events: {heartbeat_interval: 1}")
func redisDockfile(
  _ url: String, _ handler: String = "scripted", redis: String = "", streaming: String = "",
  sections: String = ""
) -> String {
  let keys = ["url: \"\(url)\"", redis].filter { !$0.isEmpty }.joined(separator: ", ")
  let members = ["backend: redis", "redis: {\(keys)}", streaming].filter { !$0.isEmpty }
  return dockfile(handler, "streaming: {\(members.joined(separator: ", "))}\n" + sections)
}
