import Testing

/// What a client of one server sees, wherever the server keeps its runs. The files beside this one hold its parts;
/// what a subscriber is sent under load is in `Streams/` and `Load/`, with the same argument.
@Suite struct BackendContract {
  /// What several requests at one moment must not break; alone on a server, each is in the other parts.
  @Suite(.sharesMachine) struct AtOnce {
    @Test(arguments: Backend.allCases)
    func oneKeyMakesOneRunHoweverManyAskAtOnce(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        for round in 0..<10 {
          let answers = try server.postAtOnce(
            20, "/runs", #"{"tokens":1}"#, headers: ["Idempotency-Key: k-\(round)"])
          #expect(answers.map(\.status) == Array(repeating: 202, count: 20))
          let ids = try answers.map { try $0.json()["run_id"]?.string }
          #expect(Set(ids).count == 1 && ids[0] != nil, "\(ids)")
        }
        #expect(try server.get("/runs").json()["runs"]?.array?.count == 10)
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
        #expect(
          try server.metrics().sum("dockrion_runs_total", ["status": "completed"]) == 10,
          "each was executed once")
      }
    }

    @Test(arguments: Backend.allCases)
    func oneIdIsGivenOnceHoweverManyAskAtOnce(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        for round in 0..<10 {
          let answers = try server.postAtOnce(20, "/runs?run_id=mine-\(round)", #"{"tokens":1}"#)
          #expect(answers.map(\.status).sorted() == [202] + Array(repeating: 409, count: 19))
          for answer in answers where answer.status == 409 { #expect(try answer.errorCode() == "RUN_EXISTS") }
        }
        #expect(try server.get("/runs").json()["runs"]?.array?.count == 10)
      }
    }

    @Test(arguments: Backend.allCases)
    func ofTwoBodiesWithOneKeyOneIsRefused(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        for round in 0..<10 {
          let connections = try (0..<2).map { _ in try server.connect() }
          for (index, connection) in connections.enumerated() {
            let headers = ["Idempotency-Key: k-\(round)"]
            try connection.send(
              requestText("POST", "/runs", headers: headers, body: #"{"tokens":\#(index)}"#))
          }
          let answers = try connections.map { try $0.response(to: "POST") }
          #expect(answers.map(\.status).sorted() == [202, 409])
          for answer in answers where answer.status == 409 {
            #expect(try answer.errorCode() == "IDEMPOTENCY_KEY_REUSED")
          }
        }
      }
    }

    /// A key that comes again with an id: the run of the first request is the answer, not a conflict.
    @Test(arguments: Backend.allCases)
    func aRetryThatRepeatsItsIdIsAnsweredWithItsRun(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        for _ in 0..<2 {
          let answer = try server.post("/runs?run_id=mine", "{}", headers: ["Idempotency-Key: k"])
          #expect(answer.status == 202, "\(answer.text)")
          #expect(try answer.json()["run_id"] == "mine")
        }
      }
    }

    @Test(arguments: Backend.allCases)
    func aRunCanBeFollowedAndCancelledTheMomentItIsAnswered(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let connection = try server.connect()
        for round in 0..<50 {
          let body = #"{"tokens":1,"hang":true}"#
          #expect(try connection.request("POST", "/runs?run_id=r-\(round)", body: body).status == 202)
          #expect(try connection.request("GET", "/runs/r-\(round)").status == 200)
          let subscriber = try server.subscribe(to: "r-\(round)")
          #expect(try connection.request("DELETE", "/runs/r-\(round)").status == 200)
          let events = try subscriber.remainingEvents()
          expectWholeStream(events, idField: "run_id", id: "r-\(round)")
          #expect(events.last?.type == "cancelled")
        }
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      }
    }
  }

  /// What a run's record must hold unchanged.
  @Suite(.sharesMachine) struct Values {
    @Test(arguments: Backend.allCases)
    func outputErrorAndEventsKeepEveryCharacter(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let text = #"é\u0000\r\n\n: \"'{}[]$*\\ 😀 \u2028end"#
        let expected = "é\u{0}\r\n\n: \"'{}[]$*\\ 😀 \u{2028}end"
        let id = try server.completedRun(
          #"{"emit":[{"type":"token","content":"\#(text)"}],"tokens":0,"output":{"a":"\#(text)"}}"#)
        #expect(try server.run(id)["output"] == ["a": .text(expected)])
        let events = try server.subscribe(to: id).remainingEvents()
        #expect(events.map(\.type) == ["started", "token", "complete"])
        #expect(try events[1].json()["content"]?.string == expected)
        #expect(try events[2].json()["output"] == ["a": .text(expected)])
        let failing = try server.startRun(#"{"tokens":0,"fail":"\#(text)"}"#)
        #expect(try server.waitForRun(failing, status: "failed")["error"]?["message"]?.string == expected)
        #expect(try server.subscribe(to: failing).remainingEvents().last?.json()["error"]?.string == expected)
      }
    }

    @Test(arguments: Backend.allCases)
    func largeEventsAndOutputsComeWhole(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":4,"token_bytes":400000,"output":{"done":true}}"#)
        let live = try server.subscribe(to: run)
        expectWholeStream(try live.remainingEvents(), idField: "run_id", id: run)
        let replay = try server.subscribe(to: run)
        #expect(try replay.remainingEvents().count == 6)
        #expect(live.bytes == replay.bytes)
        let long = String(repeating: "x", count: 300_000)
        let id = try server.completedRun(#"{"tokens":0,"output":{"text":"\#(long)"}}"#)
        #expect(try server.run(id)["output"] == ["text": .text(long)])
      }
    }

    @Test(arguments: Backend.allCases)
    func anUnknownRunIs404OnEveryRoute(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        for (method, path) in [
          ("GET", "/runs/nobody"), ("GET", "/runs/nobody/events"), ("DELETE", "/runs/nobody"),
          ("GET", "/runs/nobody/events?from_sequence=5"),
        ] {
          let answer = try server.request(method, path)
          #expect(answer.status == 404, "\(method) \(path)")
          #expect(try answer.errorCode() == "NOT_FOUND")
          #expect(try answer.errorSentence().contains("nobody"))
        }
      }
    }
  }
}

extension ServerProcess {
  /// The same request on as many connections, all sent before the first answer is read.
  func postAtOnce(_ count: Int, _ path: String, _ body: String, headers: [String] = []) throws -> [Response] {
    let connections = try (0..<count).map { _ in try connect() }
    for connection in connections {
      try connection.send(requestText("POST", path, headers: headers, body: body))
    }
    return try connections.map { try $0.response(to: "POST") }
  }
}
