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

  @Test func theDetailsOfAnAgentsErrorAreInEveryRoutesError() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":0,"fail":"no","code":"PAGES","fail_details":{"page":3,"why":["ä"]}}"#
      let details: JSON = ["page": 3, "why": ["ä"]]
      let invoked = try server.post("/invoke", body)
      #expect(invoked.status == 500)
      #expect(
        try invoked.json() == ["success": false, "error": "no", "code": "PAGES", "details": details])
      let streamed = try server.invokeStream(body).remainingEvents().last?.json()
      #expect(streamed?["details"] == details)
      let run = try server.startRun(body)
      #expect(try server.waitForRun(run, status: "failed")["error"]?["details"] == details)

      let plain = try server.post("/invoke", #"{"fail":"no"}"#).json()
      #expect(plain.names == ["code", "error", "success"])
      let wrong = try server.post("/invoke", #"{"fail":"no","fail_details":"page 3"}"#)
      #expect(wrong.status == 422)
      #expect(try wrong.errorSentence().contains("/fail_details"))
    }
  }

  @Test func aMessageOfTooManyBytesIsCut() throws {
    try withServer(dockfile("scripted", "runtime: {max_body_bytes: 5MiB, shutdown_grace_seconds: 0}")) {
      server throws in
      let text = String(repeating: "ä", count: 1 << 20)
      let body = #"{"tokens":0,"fail":"\#(text)","code":"\#(text)"}"#
      let streamed = try #require(try server.invokeStream(body).remainingEvents().last?.json())
      for reply in [try server.post("/invoke", body).json(), streamed] {
        for (name, most) in [("error", 128 << 10), ("code", 256)] {
          let cut = try #require(reply[name]?.string)
          #expect((most - 2...most).contains(cut.utf8.count), "\(name) \(cut.utf8.count)")
          #expect(cut.hasPrefix("ää") && cut.hasSuffix("ä… (2097152 bytes)"), "\(name)")
        }
      }
    }
  }

  @Test func detailsThatAreTooManyBytesAreReplacedByASentence() throws {
    try withServer(dockfile("scripted", "runtime: {max_body_bytes: 4MiB, shutdown_grace_seconds: 0}")) {
      server throws in
      let text = String(repeating: "x", count: (1 << 20) + 1)
      let body = #"{"tokens":0,"fail":"no","fail_details":{"text":"\#(text)"}}"#
      let sentence = "the details have 1048588 bytes; at most 1048576 can be sent"
      #expect(try server.post("/invoke", body).json()["details"] == ["unreadable": .text(sentence)])
      let streamed = try server.invokeStream(body).remainingEvents().last?.json()
      #expect(streamed?["details"] == ["unreadable": .text(sentence)])
    }
  }

  /// What a stream refuses is refused here too, though nothing is sent: an agent behaves the same behind each route.
  @Test(arguments: [
    (#"{"type":"custom","name":"c","data":{"sequence":1}}"#, "common field"),
    (#"{"type":"custom","name":"token"}"#, "cannot be a custom event's name"),
    (#"{"type":"custom","name":"c","data":{"text":"LONG"}}"#, "at most 1048576 can be sent"),
    (#"{"type":"token","content":"LONG"}"#, "at most 1048576 can be sent"),
    (#"{"type":"checkpoint","name":"c","data":{"text":"LONG"}}"#, "at most 1048576 can be sent"),
    (#"{"type":"step","node_name":"n","input_keys":["LONG"]}"#, "at most 1048576 can be sent"),
    (#"{"type":"progress","step":"LONG","progress":1}"#, "at most 1048576 can be sent"),
  ]) func anEventThatAStreamRefusesIsRefusedHere(_ event: String, _ sentence: String) throws {
    let runtime = "runtime: {max_body_bytes: 4MiB, shutdown_grace_seconds: 0, expose_errors: true}"
    try withServer(dockfile("scripted", runtime)) { server throws in
      let long = String(repeating: "x", count: 1 << 20)
      let body = #"{"tokens":0,"emit":[\#(event.replacing("LONG", with: long))]}"#
      let streamed = try #require(try server.invokeStream(body).remainingEvents().last)
      #expect(streamed.type == "error" && streamed.data.contains(sentence), "\(streamed.data.prefix(300))")
      let invoked = try server.post("/invoke", body)
      #expect(invoked.status == 500)
      #expect(try invoked.errorSentence() == streamed.json()["error"]?.string)
      let short = body.replacing(long, with: "x").replacing(#""sequence""#, with: #""page""#)
        .replacing(#""name":"token""#, with: #""name":"c""#)
      #expect(try server.post("/invoke", short).status == 200, "\(short)")
    }
  }

  @Test func anEventThatTheDockfileFiltersIsNotChecked() throws {
    let quiet = dockfile("scripted", "streaming: {events: {allowed: [token]}}")
    try withServer(quiet) { server throws in
      let body = #"{"tokens":0,"emit":[{"type":"custom","name":"c","data":{"sequence":1}}]}"#
      #expect(try server.invokeStream(body).remainingEvents().map(\.type) == ["started", "complete"])
      #expect(try server.post("/invoke", body).status == 200)
    }
  }

  @Test func aScriptInTheTextCountsAsIfItStoodInThePayload() throws {
    try withServer(dockfile("scripted")) { server throws in
      let script = #"{"text":"{\"tokens\":2,\"output\":{\"a\":1}}","tokens":5}"#
      let events = try server.invokeStream(script).remainingEvents()
      #expect(events.map(\.type) == ["started", "token", "token", "complete"])
      #expect(try events.last?.json()["output"] == ["a": 1])
      for text in ["hello", "[1]", "{", ""] {
        let output = try server.post("/invoke", #"{"text":"\#(text)","tokens":1}"#).json()["output"]
        #expect(output == ["tokens": 1], "\(text)")
      }
      let wrong = try server.post("/invoke", #"{"text":"{\"tokens\":\"x\"}"}"#)
      #expect(wrong.status == 422)
      #expect(try wrong.errorSentence().contains("/tokens"))
      #expect(try server.post("/invoke", #"{"text":5}"#).status == 422)
    }
  }

  @Test func anAgentThatTakesTooLongIs504() throws {
    try withServer(dockfile("scripted", "streaming: {events: {max_run_duration: 1}}")) { server throws in
      let start = monotonicNanoseconds()
      let response = try server.post("/invoke", #"{"hang":true}"#)
      #expect(response.status == 504)
      #expect(try response.errorCode() == "RUN_TIMEOUT")
      #expect(seconds(since: start) > 0.9)
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
