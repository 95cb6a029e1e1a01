import Testing

/// Runs a server with several agents.
///
///     try withAgents(["name: a, handler: echo", "name: b, handler: scripted"]) { server throws in … }
///
/// - Parameters:
///   - agents: the members of each entry, in YAML's flow form.
///   - streaming: further members of `streaming`.
///   - sections: further sections of the Dockfile.
func withAgents(
  _ agents: [String] = twoAgents, on backend: Backend = .memory, streaming: String = "",
  sections: String = "", sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (ServerProcess) throws -> Void
) throws {
  let redis = backend == .redis ? try RedisProcess() : nil
  let text = agentsDockfile(agents, redis: redis?.url, streaming: streaming, sections: sections)
  try withServer(text, sourceLocation: sourceLocation) { server throws in
    if redis != nil {
      let isReady = try eventually(within: 15) { try server.get("/ready").status == 200 }
      #expect(isReady, sourceLocation: sourceLocation)
    }
    try body(server)
  }
  withExtendedLifetime(redis) {}
}

/// `support`, the default, and `search`, both of them scripted.
let twoAgents = [
  "name: support, handler: scripted, description: helps",
  "name: search, handler: scripted, framework: custom, runtime: {max_concurrent_runs: 2}",
]

/// A Dockfile with a list of agents.
func agentsDockfile(
  _ agents: [String], redis url: String? = nil, streaming: String = "", sections: String = ""
) -> String {
  let entries = agents.map { "  - {\($0)}\n" }.joined()
  let runtime = sections.contains("runtime:") ? "" : "runtime: {shutdown_grace_seconds: 0}\n"
  let store = url.map { "backend: redis, redis: {url: \"\($0)\"}" } ?? ""
  let members = [store, streaming].filter { !$0.isEmpty }.joined(separator: ", ")
  return "agents:\n\(entries)streaming: {\(members)}\n\(runtime)\(sections)\n"
}

extension ServerProcess {
  /// Starts a run below a prefix and returns its id.
  func startRun(below prefix: String, _ body: String) throws -> String {
    let response = try post(prefix + "/runs", body)
    guard response.status == 202, let id = try response.json()["run_id"]?.string else {
      throw ClientError("POST \(prefix)/runs: \(response.status) \(response.text)")
    }
    return id
  }

  /// A stream behind any path.
  func stream(_ method: String, _ path: String, _ body: String? = nil, headers: [String] = []) throws
    -> EventStream
  {
    try EventStream(on: connect(), request: requestText(method, path, headers: headers, body: body))
  }
}
