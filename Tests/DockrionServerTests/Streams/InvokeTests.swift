import Testing

@Suite(.sharesMachine) struct InvokeTests {
  @Test func theOutputComesInOnePieceWithItsMetadata() throws {
    try withServer(dockfile("echo")) { server throws in
      let response = try server.post("/invoke", #"{"text":"Hello, world!"}"#)
      #expect(response.status == 200)
      #expect(response["Content-Type"]?.hasPrefix("application/json") == true)
      let json = try response.json()
      #expect(json.names == ["metadata", "output", "success"])
      #expect(json["success"] == true)
      #expect(json["output"] == ["text": "Hello, world!"])
      #expect(json["metadata"]?.names == ["agent", "framework", "latency_seconds"])
      #expect(json["metadata"]?["agent"] == "test-agent")
      #expect(json["metadata"]?["framework"] == "swift")
      let latency = try #require(json["metadata"]?["latency_seconds"]?.double)
      #expect(latency >= 0 && latency < 5)
    }
  }

  @Test func theLatencyIsTheTimeTheAgentTook() throws {
    try withServer(dockfile("scripted")) { server throws in
      let json = try server.post("/invoke", #"{"tokens":4,"interval_ms":50}"#).json()
      let latency = try #require(json["metadata"]?["latency_seconds"]?.double)
      #expect(latency >= 0.15 && latency < 3, "\(latency)")
    }
  }

  @Test func everyUnicodeTextComesBackAsItWas() throws {
    try withServer(dockfile("echo")) { server throws in
      let text =
        "tab\\t quote\\\" back\\\\slash \\u0000\\u001f \\u2028\\u2029 \\ud83d\\ude00 é 漢字 👩‍👩‍👧 \\r\\n end"
      let response = try server.post("/invoke", "{\"text\":\"\(text)\"}")
      let sent = try JSON("{\"text\":\"\(text)\"}")
      #expect(try response.json()["output"] == sent)
    }
  }

  @Test func anAgentThatThrowsIs500WithItsOwnCode() throws {
    try withServer(dockfile("scripted")) { server throws in
      let plain = try server.post("/invoke", #"{"fail":"it broke"}"#)
      #expect(plain.status == 500)
      #expect(try plain.errorCode() == "AGENT_ERROR")
      #expect(try plain.errorSentence() == "it broke")
      let coded = try server.post("/invoke", #"{"fail":"no model","code":"MODEL_DOWN"}"#)
      #expect(coded.status == 500)
      #expect(try coded.errorCode() == "MODEL_DOWN")
    }
  }

  @Test func anAgentThatTakesTooLongIs504() throws {
    try withServer(dockfile("scripted", "streaming: {events: {max_run_duration: 1}}")) { server throws in
      let start = monotonicNanoseconds()
      let response = try server.post("/invoke", #"{"hang":true}"#)
      #expect(response.status == 504)
      #expect(try response.errorCode() == "RUN_TIMEOUT")
      #expect((0.9...4).contains(seconds(since: start)))
      #expect(try eventually(within: 2) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func beyondTheAgentsAtOnceEveryRouteIs429WithRetryAfter() throws {
    let one = "runtime: {max_concurrent_runs: 1, shutdown_grace_seconds: 0}"
    try withServer(dockfile("scripted", one)) { server throws in
      let held = try server.invokeStream(#"{"hang":true}"#)
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        let response = try server.post(path, "{}")
        #expect(response.status == 429, "\(path)")
        #expect(try response.errorCode() == "TOO_MANY_RUNS")
        #expect((response["Retry-After"].flatMap { Int($0) } ?? 0) >= 1, "\(path)")
      }
      held.connection.close()
      let admitted = try eventually(within: 5) { try server.post("/invoke", "{}").status == 200 }
      #expect(admitted)
    }
  }

  @Test func closingTheConnectionCancelsTheAgent() throws {
    try withServer(dockfile("scripted")) { server throws in
      for leave in [Connection.close, Connection.reset] {
        let connection = try server.connect()
        try connection.send(requestText("POST", "/invoke", body: #"{"hang":true}"#))
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
        leave(connection)()
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      }
    }
  }
}
