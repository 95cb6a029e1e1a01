/// What the numbers of a Dockfile may be, for one that a program has made or changed: the reader checks files itself.
package struct DockfileRange: Sendable {
  /// The key, as messages name it.
  package let field: String
  package let range: ClosedRange<Int>
  package let value: @Sendable (Dockfile) -> Int?

  init(
    _ field: String, _ range: ClosedRange<Int>, _ value: @escaping @Sendable (Dockfile) -> Int?
  ) {
    (self.field, self.range, self.value) = (field, range, value)
  }

  package static let all: [DockfileRange] = [
    // 0 takes any free port.
    DockfileRange("expose.port", 0...65_535) { $0.expose.port },
    DockfileRange("streaming.events.heartbeat_interval", 1...300) { $0.streaming.heartbeatSeconds },
    DockfileRange("streaming.events.max_run_duration", 1...86_400) { $0.streaming.maxRunSeconds },
    DockfileRange("streaming.connection.default_timeout", 1...3600) { $0.streaming.defaultTimeoutSeconds },
    DockfileRange("streaming.connection.max_subscribers_per_run", 1...100_000) {
      $0.streaming.maxSubscribersPerRun
    },
    DockfileRange("streaming.memory.max_events_per_run", 10...100_000) { $0.streaming.maxEventsPerRun },
    DockfileRange("streaming.memory.retention_seconds", 60...604_800) { $0.streaming.retentionSeconds },
    DockfileRange("streaming.memory.max_bytes", (1 << 20)...(1 << 40)) { $0.streaming.maxLogBytes },
    DockfileRange("streaming.redis.connection_pool_size", 1...1000) { $0.streaming.redis?.connections },
    DockfileRange("streaming.redis.lease_seconds", 2...300) { $0.streaming.redis?.leaseSeconds },
    DockfileRange("streaming.redis.connect_timeout_seconds", 1...60) {
      $0.streaming.redis?.connectTimeoutSeconds
    },
    DockfileRange("streaming.redis.command_timeout_seconds", 1...60) {
      $0.streaming.redis?.commandTimeoutSeconds
    },
    DockfileRange("streaming.redis.max_pending_bytes", (64 << 10)...(1 << 30)) {
      $0.streaming.redis?.maxPendingBytes
    },
    DockfileRange("runtime.max_concurrent_runs", 1...1_000_000) { $0.runtime.maxConcurrentRuns },
    DockfileRange("runtime.max_connections", 1...1_000_000) { $0.runtime.maxConnections },
    DockfileRange("runtime.worker_threads", 1...240) { $0.runtime.workerThreads },
    DockfileRange("runtime.ring_capacity", 2...65_536) { $0.runtime.ringCapacity },
    DockfileRange("runtime.stall_timeout_seconds", 1...3600) { $0.runtime.stallTimeoutSeconds },
    DockfileRange("runtime.shutdown_grace_seconds", 0...3600) { $0.runtime.shutdownGraceSeconds },
    DockfileRange("runtime.max_body_bytes", 1...(1 << 30)) { $0.runtime.maxBodyBytes },
    DockfileRange("runtime.request_timeout_seconds", 1...3600) { $0.runtime.requestTimeoutSeconds },
    DockfileRange("runtime.keep_alive_seconds", 1...3600) { $0.runtime.keepAliveSeconds },
    DockfileRange("runtime.max_buffered_bytes", (32 << 20)...(1 << 40)) { $0.runtime.maxBufferedBytes },
    DockfileRange("runtime.max_payload_bytes", (1 << 20)...(1 << 40)) { $0.runtime.maxPayloadBytes },
    DockfileRange("runtime.python.processes", 1...256) { $0.runtime.python.processes },
    DockfileRange("runtime.python.threads", 1...1000) { $0.runtime.python.threads },
    DockfileRange("runtime.python.max_concurrent_runs", 1...100_000) { $0.runtime.python.maxConcurrentRuns },
    DockfileRange("runtime.python.max_runs", 0...1_000_000_000) { $0.runtime.python.maxRuns },
    DockfileRange("runtime.python.max_memory", 0...(1 << 40)) { $0.runtime.python.maxMemoryBytes },
    DockfileRange("runtime.python.cancel_grace_seconds", 1...3600) { $0.runtime.python.cancelGraceSeconds },
    DockfileRange("runtime.python.import_timeout_seconds", 1...3600) {
      $0.runtime.python.importTimeoutSeconds
    },
  ]
}

extension Dockfile {
  /// Makes sure that every number is in its range, and that there are agents, each with a name of its own, also where
  /// a program has set them.
  ///
  /// - Throws: `DockfileError` with every one that is not.
  public func checkRanges() throws(DockfileError) {
    let issues =
      agentIssues
      + DockfileRange.all.compactMap { entry -> DockfileIssue? in
        guard let value = entry.value(self), !entry.range.contains(value) else { return nil }
        return DockfileIssue(
          path: path, field: entry.field,
          message: "\(value) is out of range (\(entry.range.lowerBound)…\(entry.range.upperBound))")
      }
    if !issues.isEmpty { throw DockfileError(issues: issues) }
  }
  private var agentIssues: [DockfileIssue] {
    if agents.isEmpty { return [DockfileIssue(path: path, field: "agents", message: "there is none")] }
    return agents.enumerated().flatMap { index, agent -> [DockfileIssue] in
      var issues: [DockfileIssue] = []
      if agents[..<index].contains(where: { $0.name == agent.name }) {
        issues.append(
          DockfileIssue(
            path: path, field: "agents[\(index)].name",
            message: "\(quoted(agent.name)) is the name of another one; each needs one of its own"))
      }
      if let most = agent.maxConcurrentRuns, !(1...1_000_000).contains(most) {
        issues.append(
          DockfileIssue(
            path: path, field: "agents[\(index)].runtime.max_concurrent_runs",
            message: "\(most) is out of range (1…1000000)"))
      }
      return issues
    }
  }
}
