import Testing

/// Bounds that hold for each agent and for all together.
@Suite(.sharesMachine) struct AgentBoundsTests {
  private static let endless = #"{"tokens":0,"hang":true}"#

  @Test func oneThatIsFullLeavesTheOthersAlone() throws {
    try withAgents { server throws in
      let run = try server.startRun(below: "/agents/search", Self.endless)
      let stream = try server.stream("POST", "/agents/search/invoke/stream", Self.endless)
      _ = try stream.event()
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        let refused = try server.post("/agents/search" + path, Self.endless)
        #expect(refused.status == 429 && refused["Retry-After"] == "1", "\(path)")
        #expect(try refused.errorCode() == "TOO_MANY_RUNS")
        let sentence = try refused.errorSentence()
        #expect(sentence.contains("search") && sentence.contains("2"), "\(sentence)")
      }
      // The other one under load meanwhile.
      let clients = try (0..<20).map { _ in try server.connect() }
      for round in 0..<20 {
        for client in clients {
          let path = round.isMultiple(of: 2) ? "/invoke" : "/agents/support/invoke"
          try client.send(requestText("POST", path, body: #"{"tokens":2}"#))
        }
        for client in clients { #expect(try client.response(to: "POST").status == 200) }
      }
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_active_runs", ["agent": "search"]) == 2)
      #expect(metrics.sum("dockrion_active_runs", ["agent": "support"]) == 0)
      #expect(
        metrics.sum("dockrion_requests_total", ["agent": "support", "route": "/invoke", "status": "200"])
          == 400)
      // Its room comes back when one of them ends.
      #expect(try server.request("DELETE", "/agents/search/runs/\(run)").status == 200)
      #expect(
        try eventually(within: 5) { try server.post("/agents/search/invoke", #"{"tokens":0}"#).status == 200 }
      )
    }
  }

  @Test func bothAreServedUnderLoadAtOnce() throws {
    try withAgents(["name: a, handler: scripted", "name: b, handler: echo"]) { server throws in
      let streams = try (0..<40).map { index in
        index.isMultiple(of: 2)
          ? try server.stream("POST", "/agents/a/invoke/stream", #"{"tokens":500}"#)
          : try server.stream("POST", "/agents/b/invoke/stream", #"{"text":"one two three"}"#)
      }
      for (index, stream) in streams.enumerated() {
        let events = try stream.remainingEvents(within: 30)
        let name = index.isMultiple(of: 2) ? "a" : "b"
        #expect(try events[0].json()["agent_name"]?.string == name)
        #expect(events.count { $0.type == "token" } == (name == "a" ? 500 : 3))
        #expect(events.last?.type == "complete")
      }
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_events_total", ["type": "token", "agent": "a"]) == 10_000)
      #expect(metrics.sum("dockrion_events_total", ["type": "token", "agent": "b"]) == 60)
    }
  }

  @Test func theSumIsBoundAsWell() throws {
    let sections = "runtime: {max_concurrent_runs: 3, shutdown_grace_seconds: 0}"
    try withAgents(sections: sections) { server throws in
      let runs = try (0..<2).map { _ in try server.startRun(below: "/agents/search", Self.endless) }
      let last = try server.startRun(below: "/agents/support", Self.endless)
      for prefix in ["", "/agents/support", "/agents/search"] {
        let refused = try server.post(prefix + "/invoke", Self.endless)
        #expect(refused.status == 429)
        #expect(try refused.errorCode() == "TOO_MANY_RUNS")
        #expect(try refused.errorSentence().contains("3"))
        #expect(try refused.errorSentence().contains("search") == false)
      }
      #expect(try server.request("DELETE", "/runs/\(last)").status == 200)
      #expect(try eventually(within: 5) { try server.activeRuns == 2 })
      // The sum has room again, the one that is full has not.
      #expect(try server.post("/agents/search/invoke", Self.endless).errorSentence().contains("search"))
      #expect(try server.post("/invoke", #"{"tokens":0}"#).status == 200)
      for run in runs { #expect(try server.request("DELETE", "/runs/\(run)").status == 200) }
      #expect(try eventually(within: 5) { try server.activeRuns == 0 })
    }
  }

  /// A place is kept while a run's record is being made, and given back where that fails.
  @Test func refusedRunsTakeNoPlace() throws {
    try withAgents(on: .redis) { server throws in
      #expect(try server.post("/agents/search/runs?run_id=one", #"{"tokens":0}"#).status == 202)
      for _ in 0..<10 {
        #expect(try server.post("/agents/search/runs?run_id=one", #"{"tokens":0}"#).status == 409)
      }
      _ = try server.waitForRun("one", status: "completed")
      let runs = try (0..<2).map { _ in try server.startRun(below: "/agents/search", Self.endless) }
      #expect(try server.post("/agents/search/runs", Self.endless).status == 429)
      for run in runs { #expect(try server.request("DELETE", "/runs/\(run)").status == 200) }
    }
  }
}
