import Testing

/// `dockrion_events_total` counts each event of a stream once, whoever made it.
@Suite(.sharesMachine) struct EventCountTests {
  private static let short = dockfile(
    "scripted",
    """
    streaming: {events: {max_run_duration: 1}}
    runtime: {worker_threads: 1, shutdown_grace_seconds: 0}
    """)

  @Test func everyWayToEndInPatternA() throws {
    try withServer(Self.short) { server throws in
      _ = try server.invokeStream(#"{"tokens":3}"#).remainingEvents()
      #expect(try counts(server) == ["started": 1, "token": 3, "complete": 1])

      _ = try server.invokeStream(#"{"tokens":1,"fail":"x","emit":[{"type":"step","node_name":"n"}]}"#)
        .remainingEvents()
      #expect(try counts(server) == ["started": 2, "token": 4, "step": 1, "complete": 1, "error": 1])

      let custom = #"{"tokens":0,"emit":[{"type":"custom","name":"mine"}]}"#
      _ = try server.invokeStream(custom).remainingEvents()
      var expected = ["started": 3, "token": 4, "step": 1, "complete": 2, "error": 1, "custom": 1]
      #expect(try counts(server) == expected)

      // The time limit's `error` is the server's own.
      let late = try server.invokeStream(#"{"tokens":1,"hang":true}"#).remainingEvents()
      #expect(late.map(\.type) == ["started", "token", "error"])
      expected["started"] = 4
      expected["token"] = 5
      expected["error"] = 2
      #expect(try counts(server) == expected)

      // Who leaves gets no event.
      let left = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
      _ = try left.events(through: "token")
      left.connection.close()
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      expected["started"] = 5
      expected["token"] = 6
      #expect(try counts(server) == expected)
    }
  }

  @Test(arguments: Backend.allCases) func everyWayToEndInPatternB(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {max_run_duration: 1}") { server throws in
      func end(_ body: String, cancel: Bool = false) throws {
        let run = try server.startRun(body)
        if cancel {
          #expect(try eventually(within: 5) { try server.run(run)["last_sequence"]?.int == 2 })
          #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
        }
        // More subscribers make no more events.
        for _ in 0..<2 { _ = try server.subscribe(to: run).remainingEvents() }
      }
      try end(#"{"tokens":3}"#)
      #expect(try counts(server) == ["started": 1, "token": 3, "complete": 1])
      try end(#"{"tokens":1,"fail":"x"}"#)
      #expect(try counts(server) == ["started": 2, "token": 4, "complete": 1, "error": 1])
      try end(#"{"tokens":1,"hang":true}"#)
      #expect(try counts(server) == ["started": 3, "token": 5, "complete": 1, "error": 2])
      try end(#"{"tokens":1,"hang":true}"#, cancel: true)
      #expect(
        try counts(server) == ["started": 4, "token": 6, "complete": 1, "error": 2, "cancelled": 1])
    }
  }

  @Test func aStartedThatTheServerMadeCountsToo() throws {
    try withServer(Self.short) { server throws in
      // The one thread is taken, so neither of the next two agents begins before its end.
      let blocker = try server.startRun(#"{"tokens":0,"block_ms":2500}"#)
      #expect(try eventually(within: 5) { try server.run(blocker)["last_sequence"]?.int == 1 })
      let run = try server.startRun(#"{"tokens":0}"#)
      #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
      #expect(try server.subscribe(to: run).remainingEvents().map(\.type) == ["started", "cancelled"])
      let direct = try server.invokeStream(#"{"tokens":0}"#).remainingEvents()
      #expect(direct.map(\.type) == ["started", "error"])
      #expect(try server.subscribe(to: blocker).remainingEvents().map(\.type) == ["started", "error"])
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(try counts(server) == ["started": 3, "cancelled": 1, "error": 2])
    }
  }

  @Test func invokeHasNoEvents() throws {
    try withServer(Self.short) { server throws in
      #expect(try server.post("/invoke", #"{"tokens":3}"#).status == 200)
      #expect(try server.post("/invoke", #"{"fail":"x"}"#).status == 500)
      #expect(try server.post("/invoke", #"{"tokens":"many"}"#).status == 422)
      #expect(try server.post("/invoke", #"{"hang":true}"#).status == 504)
      let left = try server.connect()
      try left.send(requestText("POST", "/invoke", body: #"{"hang":true}"#))
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      left.close()
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(try counts(server) == [:])
    }
  }

  /// Of each type that has come.
  private func counts(_ server: ServerProcess) throws -> [String: Int] {
    let samples = try server.metrics().samples.filter { $0.name == "dockrion_events_total" && $0.value > 0 }
    return Dictionary(uniqueKeysWithValues: samples.map { ($0.labels["type"] ?? "", Int($0.value)) })
  }
}
