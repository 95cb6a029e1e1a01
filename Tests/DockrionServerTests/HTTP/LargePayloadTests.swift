import Testing

/// Bodies that are parsed on a thread of their own.
@Suite(.sharesMachine) struct LargePayloadTests {
  /// A payload of the scripted agent, over 8 KiB.
  private func large(_ fields: String) -> String {
    "{\"padding\":\"\(String(repeating: "x", count: 10_000))\",\(fields)}"
  }

  @Test func agentsThatBlockEveryLaneDoNotHoldUpLargeRequests() throws {
    let sections = """
      runtime: {worker_threads: 1, shutdown_grace_seconds: 0}
      streaming: {events: {max_run_duration: 3}}
      """
    try withServer(dockfile("scripted", sections)) { server throws in
      let blocking = try server.startRun(#"{"tokens":0,"block_ms":20000}"#)
      #expect(try eventually(within: 5) { try server.run(blocking)["status"] == "running" })
      let start = monotonicNanoseconds()
      let run = try server.startRun(large(#""tokens":1"#))
      let refused = try server.post("/runs", large(#""tokens":"many""#))
      #expect(refused.status == 422)
      #expect(seconds(since: start) < 2.5, "as if nothing blocked")

      let stream = try server.invokeStream(large(#""tokens":1"#))
      let reply = try server.post("/invoke", large(#""tokens":1"#))
      #expect(reply.status == 504)
      #expect(try reply.json()["code"] == "RUN_TIMEOUT")
      let events = try stream.remainingEvents()
      #expect(events.map(\.type) == ["started", "error"])
      #expect(try events.last?.json()["code"] == "RUN_TIMEOUT")
      let failed = try server.waitForRun(run, status: "failed")
      #expect(failed["error"]?["code"] == "RUN_TIMEOUT")
      #expect(failed["last_sequence"] == 2)
    }
  }

  @Test func theTimeLimitRunsWhileAPayloadIsParsed() throws {
    // Hundreds of millions of comparisons, whatever the parser: each number with each of the values.
    let values = (0..<3000).map(String.init).joined(separator: ",")
    let sections = """
      io_schema:
        input: {type: object, properties: {a: {type: array, items: {enum: [\(values)]}}}}
      runtime: {max_body_bytes: 8MiB, shutdown_grace_seconds: 0}
      streaming: {events: {max_run_duration: 1}}
      """
    try withServer(dockfile("scripted", sections)) { server throws in
      let body = "{\"a\":[\(Array(repeating: "2999", count: 200_000).joined(separator: ","))]}"
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        let start = monotonicNanoseconds()
        let reply = try server.post(path, body)
        #expect(reply.status == 504, "\(path)")
        #expect(try reply.json()["code"] == "RUN_TIMEOUT", "\(path)")
        #expect(seconds(since: start) >= 0.9, "\(path)")
      }
      #expect(try server.get("/runs").json()["runs"] == [])
      #expect(try server.metrics().sum("dockrion_active_runs") == 0)
      // A client that leaves takes its time limit with it.
      do {
        let leaving = try server.connect()
        try leaving.send(requestText("POST", "/invoke", body: body))
      }
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func anAgentsSchemaIsReadOnceAtTheStart() throws {
    try withServer(dockfile("asked"), program: "TestAgents") { server throws in
      for _ in 0..<3 {
        let reply = try server.post("/invoke", #"{"text":"x"}"#)
        #expect(try reply.json()["output"] == ["asked": 1])
        #expect(try server.post("/invoke", #"{"text":5}"#).status == 422)
        for path in ["/schema", "/openapi.json", "/"] { #expect(try server.get(path).status == 200) }
      }
    }
  }
}
