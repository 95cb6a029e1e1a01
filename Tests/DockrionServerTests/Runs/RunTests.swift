import Testing

extension BackendContract {
  /// Section 5: making a run and what is known of it.
  @Suite(.sharesMachine) struct RunTests {
    @Test(arguments: Backend.allCases)
    func aNewRunIs202WithItsPlaceAndItsEvents(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let response = try server.post("/runs", #"{"text":"Hi"}"#)
        #expect(response.status == 202)
        let json = try response.json()
        #expect(json.names == ["created_at", "events_url", "run_id", "status"])
        let id = try #require(json["run_id"]?.string)
        #expect(id.wholeMatch(of: /[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/) != nil, "\(id)")
        #expect(json["status"] == "accepted")
        #expect(json["events_url"]?.string == "/runs/\(id)/events")
        #expect(response["Location"] == "/runs/\(id)")
        let created = json["created_at"]?.string ?? ""
        #expect(created.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil, "\(created)")
      }
    }

    @Test(arguments: Backend.allCases)
    func aCompletedRunTellsItsOutputAndTimes(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let id = try server.startRun(#"{"text":"Hi there"}"#)
        let run = try server.waitForRun(id, status: "completed")
        #expect(
          run.names == [
            "agent", "completed_at", "created_at", "error", "last_sequence", "metadata", "output", "run_id",
            "started_at",
            "status",
          ])
        #expect(run["run_id"]?.string == id)
        #expect(run["output"] == ["text": "Hi there"])
        #expect(run["error"] == .null)
        #expect(run["last_sequence"] == 5)
        let times = ["created_at", "started_at", "completed_at"].map { run[$0]?.string ?? "" }
        #expect(times == times.sorted() && times[0].hasSuffix("Z"), "\(times)")
        let complete = try #require(try server.subscribe(to: id).remainingEvents().last).json()
        #expect(complete["output"] == run["output"])
        #expect(complete["metadata"]?.names.isEmpty == false && run["metadata"]?.names.isEmpty == false)
      }
    }

    @Test(arguments: Backend.allCases)
    func aRunningRunHasNoEndYet(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"tokens":3,"hang":true}"#)
        #expect(try eventually(within: 5) { try server.run(id)["last_sequence"] == 4 })
        let run = try server.run(id)
        #expect(run["status"] == "running")
        #expect(run["started_at"]?.string != nil)
        for name in ["completed_at", "output", "error"] { #expect(run[name] == .null, "\(name)") }
      }
    }

    @Test(arguments: Backend.allCases)
    func aFailedRunTellsItsError(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"tokens":1,"fail":"no model","code":"MODEL_DOWN"}"#)
        let run = try server.waitForRun(id, status: "failed")
        #expect(run["error"]?.names == ["code", "details", "message"])
        #expect(run["error"]?["message"] == "no model")
        #expect(run["error"]?["code"] == "MODEL_DOWN")
        #expect(run["output"] == .null)
        #expect(run["completed_at"]?.string != nil)
        #expect(try server.subscribe(to: id).remainingEvents().map(\.type) == ["started", "token", "error"])
      }
    }

    @Test(arguments: Backend.allCases)
    func aRunThatTakesTooLongFailsWithRUN_TIMEOUT(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", streaming: "events: {max_run_duration: 1}") { server throws in
        let id = try server.startRun(#"{"tokens":1,"hang":true}"#)
        let run = try server.waitForRun(id, status: "failed")
        #expect(run["error"]?["code"] == "RUN_TIMEOUT")
        let events = try server.subscribe(to: id).remainingEvents()
        #expect(events.map(\.type) == ["started", "token", "error"])
        #expect(try events.last?.json()["code"] == "RUN_TIMEOUT")
        #expect(try eventually(within: 2) { try server.metrics().sum("dockrion_active_runs") == 0 })
      }
    }

    @Test(arguments: Backend.allCases)
    func aClientMayChooseTheIdOnce(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let longest = String(repeating: "z", count: 128)
        for id in ["run-456", "a", "0_-", longest] {
          #expect(try server.startRun(#"{"text":"Hi"}"#, query: "?run_id=\(id)") == id)
          let again = try server.post("/runs?run_id=\(id)", #"{"text":"Hi"}"#)
          #expect(again.status == 409)
          #expect(try again.errorCode() == "RUN_EXISTS")
          #expect(try again.errorSentence().contains(id))
        }
      }
    }

    @Test(arguments: Backend.allCases)
    func anIdInAnotherFormIs400AndIsNamed(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let tooLong = String(repeating: "z", count: 129)
        for id in ["-a", "_a", "a.b", "a%20b", "a%2Fb", "%C3%A9", "", "a%00", tooLong] {
          let response = try server.post("/runs?run_id=\(id)", #"{"text":"Hi"}"#)
          #expect(response.status == 400, "\(id)")
          #expect(try response.errorCode() == "VALIDATION_ERROR")
          #expect(try response.errorSentence().contains("run_id"), "\(response.text)")
        }
        #expect(try server.get("/runs").json()["runs"] == [])
      }
    }

    @Test(arguments: Backend.allCases)
    func whereClientIdsAreOffAChosenIdIs400(_ backend: Backend) throws {
      try withServer(on: backend, "echo", streaming: "allow_client_ids: false") { server throws in
        let response = try server.post("/runs?run_id=mine", #"{"text":"Hi"}"#)
        #expect(response.status == 400)
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        #expect(try server.post("/runs", #"{"text":"Hi"}"#).status == 202)
      }
    }

    @Test(arguments: Backend.allCases)
    func anIdempotencyKeyMakesARetryAnswerWithTheFirstRun(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let body = #"{"text":"Hi"}"#
        let key = ["Idempotency-Key: order-1"]
        let first = try server.post("/runs", body, headers: key)
        let second = try server.post("/runs", body, headers: key)
        #expect(first.status == 202 && second.status == 202)
        #expect(try first.json()["run_id"] == second.json()["run_id"])
        #expect(first["Location"] == second["Location"])
        let other = try server.post("/runs", body, headers: ["Idempotency-Key: order-2"])
        #expect(try first.json()["run_id"] != other.json()["run_id"])
        let reused = try server.post("/runs", #"{"text":"Ho"}"#, headers: key)
        #expect(reused.status == 409)
        #expect(try reused.errorCode() == "IDEMPOTENCY_KEY_REUSED")
        #expect(try server.get("/runs").json()["runs"]?.array?.count == 2)
      }
    }

    @Test(arguments: Backend.allCases)
    func anIdempotencyKeyIsOfPrintableASCIIAlone(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        func post(_ key: [UInt8]) throws -> Response {
          let connection = try server.connect()
          let start = "POST /runs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nIdempotency-Key:"
          try connection.send(Array(start.utf8) + key + Array("\r\n\r\n{}".utf8))
          return try connection.response(to: "POST")
        }
        // Two that are no UTF-8, and two of one word in different normal forms: as text, one key each.
        for key in [[0xC3], [0xFF], Array("caf\u{e9}".utf8), Array("cafe\u{301}".utf8), [97, 9, 97], []]
          as [[UInt8]]
        {
          let response = try post(key)
          #expect(response.status == 400, "\(key)")
          #expect(try response.errorCode() == "VALIDATION_ERROR")
          #expect(try response.errorSentence().contains("Idempotency-Key"), "\(response.text)")
        }
        let printable = Array(0x21...0x7E as ClosedRange<UInt8>) + Array(" \(UInt8.max)".utf8)
        let first = try post(printable)
        #expect(first.status == 202)
        #expect(try post(printable).json()["run_id"] == first.json()["run_id"])
        #expect(try post(printable + [33]).json()["run_id"] != first.json()["run_id"])
        #expect(try server.get("/runs").json()["runs"]?.array?.count == 2)
      }
    }

    @Test(arguments: Backend.allCases)
    func aRetryWithItsKeyAnswersEvenWhenNoAgentMayStart(_ backend: Backend) throws {
      try withServer(
        on: backend, "scripted", sections: "runtime: {max_concurrent_runs: 1, shutdown_grace_seconds: 0}"
      ) { server throws in
        let first = try server.post("/runs", #"{"hang":true}"#, headers: ["Idempotency-Key: k"])
        let retry = try server.post("/runs", #"{"hang":true}"#, headers: ["Idempotency-Key: k"])
        #expect(retry.status == 202)
        #expect(try first.json()["run_id"] == retry.json()["run_id"])
      }
    }
  }
}
