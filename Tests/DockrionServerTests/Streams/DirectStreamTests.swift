import Testing

/// Pattern A, section 4.
@Suite(.sharesMachine) struct DirectStreamTests {
  @Test func theHeadHasExactlyTheHeadersOfAStream() throws {
    try withServer(dockfile("echo")) { server throws in
      let stream = try server.invokeStream(#"{"text":"Hi"}"#)
      #expect(stream.head.version == "HTTP/1.1")
      #expect(stream.head["Content-Type"] == "text/event-stream")
      #expect(stream.head["Cache-Control"] == "no-cache, no-transform")
      #expect(stream.head["Connection"] == "keep-alive")
      #expect(stream.head["X-Accel-Buffering"] == "no")
      #expect(stream.head["Transfer-Encoding"] == "chunked")
      let id = try #require(stream.head["X-Request-Id"])
      #expect(id.wholeMatch(of: /[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/) != nil, "\(id)")
    }
  }

  @Test func theHeadGoesOutBeforeTheAgentHasSaidAnything() throws {
    let silent = dockfile("scripted", "streaming: {events: {allowed: minimal}}")
    try withServer(silent) { server throws in
      let stream = try server.invokeStream(#"{"emit":[{"type":"sleep","ms":4000}]}"#)
      let started = try #require(try stream.event())
      let complete = try #require(try stream.event())
      #expect((started.type, complete.type) == ("started", "complete"))
      // Most of the agent's sleep lies between the two: the head came before it.
      #expect(Double(complete.arrival - started.arrival) / 1e9 > 2)
    }
  }

  @Test func anEchoIsStartedStepTokensAndComplete() throws {
    try withServer(dockfile("echo")) { server throws in
      let stream = try server.invokeStream(
        #"{"text":"Hello, big  world!"}"#, headers: ["X-Request-Id: abc-123"])
      #expect(stream.head["X-Request-Id"] == "abc-123")
      let events = try stream.remainingEvents()
      expectWholeStream(events, idField: "request_id", id: "abc-123")
      #expect(events.map(\.type) == ["started", "step", "token", "token", "token", "complete"])

      let started = try events[0].json()
      #expect(started["agent_name"] == "test-agent")
      #expect(started["framework"] == "swift")
      #expect(started.names == ["agent_name", "framework", "request_id", "sequence", "timestamp", "type"])

      let step = try events[1].json()
      #expect(step["node_name"] == "process")
      #expect(step["node"] == "process")
      #expect(step["input_keys"]?.array != nil && step["output_keys"]?.array != nil)

      let contents = try events[2...4].map { try $0.json()["content"]?.string ?? "" }
      #expect(contents.joined() == "Hello, big  world!")
      #expect(try events[2].json().names == ["content", "request_id", "sequence", "timestamp", "type"])

      let complete = try events[5].json()
      #expect(complete["output"] == ["text": "Hello, big  world!"])
      #expect(complete["latency_seconds"]?.double.map { $0 >= 0 } == true)
      #expect(complete["metadata"] != nil)
    }
  }

  @Test func aClientsRequestIdCountsOnlyInTheAllowedForm() throws {
    try withServer(dockfile("echo")) { server throws in
      let longest = String(repeating: "a", count: 128)
      for id in ["a", "0-_", longest] {
        #expect(
          try server.invokeStream(#"{"text":"x"}"#, headers: ["X-Request-Id: \(id)"]).head["X-Request-Id"]
            == id)
      }
      for id in ["-a", "_a", "a b", "a/b", "a\"b", "é", longest + "a"] {
        let stream = try server.invokeStream(#"{"text":"x"}"#, headers: ["X-Request-Id: \(id)"])
        let given = try #require(stream.head["X-Request-Id"])
        #expect(given != id)
        expectWholeStream(try stream.remainingEvents(), idField: "request_id", id: given)
      }
    }
  }

  @Test func everyStreamHasAnIdOfItsOwn() throws {
    try withServer(dockfile("echo")) { server throws in
      let ids = try (0..<50).map { _ in try server.invokeStream(#"{"text":"x"}"#).head["X-Request-Id"] }
      #expect(Set(ids).count == 50)
    }
  }

  @Test func everyEventTypeHasItsFields() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"""
        {"emit":[
          {"type":"progress","step":"load","progress":0.25,"message":"a quarter"},
          {"type":"progress","step":"load","progress":7},
          {"type":"progress","step":"load","progress":-1},
          {"type":"checkpoint","name":"parsed","data":{"rows":[1,2],"ok":true}},
          {"type":"token","content":"Hi","finish_reason":"stop"},
          {"type":"step","node_name":"n","duration_ms":150,"input_keys":["a"],"output_keys":["b","c"]},
          {"type":"step","node_name":"m"},
          {"type":"custom","name":"fraud_check","data":{"passed":true,"score":0.5}}
        ],"tokens":1,"output":{"done":true}}
        """#
      let events = try server.invokeStream(body, headers: ["X-Request-Id: r"]).remainingEvents()
      expectWholeStream(events, idField: "request_id", id: "r")
      let json = try events.map { try $0.json() }
      try #require(json.count == 11)
      #expect(json[1]["step"] == "load" && json[1]["progress"]?.double == 0.25)
      #expect(json[1]["message"] == "a quarter")
      #expect(json[2]["progress"] == 1 && json[2]["message"] == nil)
      #expect(json[3]["progress"] == 0)
      #expect(json[4]["name"] == "parsed" && json[4]["data"] == ["rows": [1, 2], "ok": true])
      #expect(json[5]["content"] == "Hi" && json[5]["finish_reason"] == "stop")
      #expect(json[6]["node_name"] == "n" && json[6]["node"] == "n" && json[6]["duration_ms"] == 150)
      #expect(json[6]["input_keys"] == ["a"] && json[6]["output_keys"] == ["b", "c"])
      #expect(json[7]["input_keys"] == [] && json[7]["output_keys"] == [] && json[7]["duration_ms"] == nil)
      #expect(events[8].type == "fraud_check" && json[8]["type"] == "fraud_check")
      #expect(json[8]["passed"] == true && json[8]["score"]?.double == 0.5)
      #expect(json[9]["content"] == "tok0 " && json[9]["finish_reason"] == nil)
      #expect(json[10]["output"] == ["done": true])
    }
  }

  @Test(arguments: [
    "bad name", "1st", "token", "complete", "heartbeat", "-b", ".b", "a/b", "", #"x\nevent: y"#,
  ])
  func aCustomEventCannotTakeABadName(_ name: String) throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"emit":[{"type":"custom","name":"\#(name)","data":{}}]}"#
      let response = try server.post("/invoke/stream", body)
      guard response.status == 200 else {
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        return
      }
      var parser = FrameParser()
      let events = try parser.feed(response.body, arrival: 0).compactMap(\.event)
      #expect(events.map(\.type) == ["started", "error"])
    }
  }

  @Test(arguments: ["run_id", "request_id", "type", "sequence", "timestamp"])
  func aCustomEventCannotTakeACommonField(_ field: String) throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"emit":[{"type":"custom","name":"mine","data":{"\#(field)":1}}]}"#
      let response = try server.post("/invoke/stream", body)
      guard response.status == 200 else {
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        return
      }
      var parser = FrameParser()
      let events = try parser.feed(response.body, arrival: 0).compactMap(\.event)
      #expect(events.map(\.type) == ["started", "error"])
    }
  }

  @Test func linesAndControlCharactersInFieldsCannotForgeAnEvent() throws {
    try withServer(dockfile("echo")) { server throws in
      let text = #"a\n\nevent: complete\ndata: {}\n\r\r\u0000\u2028\u2029\u0085\\"#
      let events = try server.invokeStream(#"{"text":"\#(text)"}"#, headers: ["X-Request-Id: r"])
        .remainingEvents()
      expectWholeStream(events, idField: "request_id", id: "r")
      let joined = try events.filter { $0.type == "token" }.map { try $0.json()["content"]?.string ?? "" }
        .joined()
      #expect(try JSON(#"{"text":"\#(text)"}"#)["text"]?.string.map { Array($0.utf8) } == Array(joined.utf8))
    }
  }

  @Test func anAgentThatThrowsEndsItsStreamWithAnError() throws {
    try withServer(dockfile("scripted")) { server throws in
      let stream = try server.invokeStream(
        #"{"tokens":2,"fail":"no model","code":"MODEL_DOWN"}"#, headers: ["X-Request-Id: r"])
      let events = try stream.remainingEvents()
      expectWholeStream(events, idField: "request_id", id: "r")
      #expect(events.map(\.type) == ["started", "token", "token", "error"])
      let error = try #require(events.last).json()
      #expect(error["error"] == "no model")
      #expect(error["code"] == "MODEL_DOWN")
    }
  }

  @Test func anAgentThatTakesTooLongEndsItsStreamWithRUN_TIMEOUT() throws {
    try withServer(dockfile("scripted", "streaming: {events: {max_run_duration: 1}}")) { server throws in
      let events = try server.invokeStream(#"{"tokens":1,"hang":true}"#).remainingEvents()
      #expect(events.map(\.type) == ["started", "token", "error"])
      #expect(try events.last?.json()["code"] == "RUN_TIMEOUT")
      #expect(try eventually(within: 2) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func closingTheConnectionCancelsTheAgent() throws {
    try withServer(dockfile("scripted")) { server throws in
      for leave in [Connection.close, Connection.reset] {
        for body in [#"{"tokens":1,"hang":true}"#, #"{"tokens":100000,"interval_ms":5}"#] {
          let stream = try server.invokeStream(body)
          #expect(try stream.event()?.type == "started")
          #expect(try server.metrics().sum("dockrion_active_runs") == 1)
          leave(stream.connection)()
          #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
        }
      }
    }
  }

  @Test func aStreamOf100000TokensArrivesWhole() throws {
    try withServer(dockfile("scripted")) { server throws in
      let stream = try server.invokeStream(
        #"{"tokens":100000,"token_bytes":40}"#, headers: ["X-Request-Id: r"])
      var expected = 1
      var last = ""
      while let event = try stream.event() {
        if event.sequence != expected { break }
        expected += 1
        last = event.type
      }
      #expect(expected == 100_003)
      #expect(last == "complete")
    }
  }

  @Test func aTokenOf300KilobytesArrivesWhole() throws {
    try withServer(dockfile("scripted")) { server throws in
      let events = try server.invokeStream(#"{"tokens":3,"token_bytes":300000}"#).remainingEvents()
      #expect(events.count == 5)
      for event in events.dropFirst().dropLast() {
        #expect(try event.json()["content"]?.string?.utf8.count == 300_000)
      }
    }
  }
}
