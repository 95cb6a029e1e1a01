import Testing

extension BackendContract {
  /// Section 6: where a subscription begins, what it is given, and how it ends.
  @Suite(.sharesMachine) struct SubscriptionTests {
    @Test(arguments: Backend.allCases)
    func theHeadIsThatOfAStreamAndTheFirstEventHasTheRetry(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let run = try server.completedRun(#"{"text":"one two"}"#)
        let stream = try server.subscribe(to: run)
        #expect(stream.head["Content-Type"] == "text/event-stream")
        #expect(stream.head["Cache-Control"] == "no-cache, no-transform")
        #expect(stream.head["Connection"] == "keep-alive")
        #expect(stream.head["X-Accel-Buffering"] == "no")
        let events = try stream.remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.map(\.type) == ["started", "step", "token", "token", "complete"])
        #expect(events.map(\.retry) == [2000, nil, nil, nil, nil])
        #expect(stream.bytes.starts(with: "retry: 2000\nid: 1\nevent: started\ndata: {\"run_id\":\"".utf8))
      }
    }

    @Test(arguments: Backend.allCases)
    func theRetryStandsInTheFirstEventWhateverThatIs(_ backend: Backend) throws {
      try withServer(
        on: backend, "scripted", streaming: "events: {heartbeat_interval: 1}", maxEventsPerRun: 10
      ) { server throws in
        let trimmed = try server.completedRun(#"{"tokens":100}"#)
        let afterAGap = try server.subscribe(to: trimmed).remainingEvents()
        #expect(afterAGap.first?.type == "gap" && afterAGap.first?.id == nil)
        #expect(afterAGap.map(\.retry) == [2000] + Array(repeating: nil, count: 10))

        let run = try server.startRun(#"{"tokens":3,"hang":true}"#)
        let late = "from_sequence=6&timeout=2"
        let silent = try server.subscribe(to: run, query: "?\(late)").remainingEvents()
        #expect(silent.map(\.type).filter { $0 != "heartbeat" } == ["timeout"])
        #expect(silent.first?.type == "heartbeat")
        #expect(silent.map(\.retry) == [2000] + Array(repeating: nil, count: silent.count - 1))

        // A comment is no event: a line in front of an empty one would be an event without data to some clients.
        let stream = try server.subscribe(to: run, query: "?\(late)&events=token")
        guard case .comment("keep-alive") = try stream.frame() else {
          Issue.record("no comment comes first")
          return
        }
        #expect(try stream.remainingEvents().map(\.retry) == [2000])
        #expect(!stream.bytes.starts(with: "retry".utf8))

        let narrowed = try server.subscribe(to: run, query: "?timeout=1&events=token").remainingEvents()
        #expect(narrowed.map(\.type) == ["started", "token", "token", "token", "timeout"])
        #expect(narrowed.map(\.retry) == [2000, nil, nil, nil, nil])
        let head = try server.request("HEAD", "/runs/\(trimmed)/events")
        #expect(head.status == 200 && head.body.isEmpty)
      }
    }

    @Test func anHTTP10ClientGetsTheRetryToo() throws {
      try withServer(dockfile("echo")) { server throws in
        let run = try server.completedRun(#"{"text":"x"}"#)
        let request = requestText("GET", "/runs/\(run)/events", version: "1.0")
        let stream = try EventStream(on: server.connect(), request: request)
        #expect(try stream.remainingEvents().map(\.retry) == [2000, nil, nil, nil])
        #expect(!stream.isChunked)
      }
    }

    @Test(arguments: Backend.allCases)
    func theStepOfPatternBHasNoSecondName(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let run = try server.completedRun(#"{"text":"x"}"#)
        let step = try #require(try server.subscribe(to: run).events(through: "step").last).json()
        #expect(step["node_name"] == "process" && step["node"] == nil)
      }
    }

    @Test(arguments: Backend.allCases)
    func everySubscriberSeesTheSameBytesLiveOrReplayed(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":50,"interval_ms":5}"#)
        let live = try (0..<5).map { _ in try server.subscribe(to: run) }
        for stream in live { expectWholeStream(try stream.remainingEvents(), idField: "run_id", id: run) }
        let replay = try server.subscribe(to: run)
        #expect(try replay.remainingEvents().count == 52)
        for stream in live { #expect(stream.bytes == replay.bytes) }
      }
    }

    @Test(
      arguments: Backend.allCases,
      [
        ("", nil, 1), ("?from_sequence=0", nil, 1), ("?from_sequence=1", nil, 1),
        ("?from_sequence=5", nil, 5),
        ("?from_sequence=12", nil, 12), ("", "0", 1), ("", "4", 5), ("", "11", 12),
        ("?from_sequence=5", "2", 5), ("?from_sequence=5", "4", 5), ("?from_sequence=5", "5", 6),
        ("?from_sequence=5", "9", 10), ("?from_sequence=0", "0", 1),
      ] as [(String, String?, Int)])
    func aSubscriptionBeginsWhereItIsAskedTo(_ backend: Backend, _ start: (String, String?, Int)) throws {
      let (query, lastID, first) = start
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.completedRun(#"{"tokens":10}"#)
        let headers = lastID.map { ["Last-Event-ID: \($0)"] } ?? []
        let events = try server.subscribe(to: run, query: query, headers: headers).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run, from: first)
        #expect(events.first?.sequence == first && events.last?.sequence == 12)
      }
    }

    @Test(
      arguments: Backend.allCases,
      [
        ("?from_sequence=13", nil), ("?from_sequence=1000000", nil), ("", "12"),
        ("?from_sequence=3", "12"), ("?from_sequence=100", "99"),
      ] as [(String, String?)])
    func whenNothingIsLeftTheAnswerIs204(_ backend: Backend, _ start: (String, String?)) throws {
      let (query, lastID) = start
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.completedRun(#"{"tokens":10}"#)
        let connection = try server.connect()
        let response = try connection.request(
          "GET", "/runs/\(run)/events\(query)", headers: lastID.map { ["Last-Event-ID: \($0)"] } ?? [])
        #expect(response.status == 204)
        #expect(response.body.isEmpty)
        #expect(try connection.request("GET", "/health").status == 200)
      }
    }

    /// What it names may have been lost by Redis: the client waits for an end.
    @Test(
      arguments: Backend.allCases,
      [
        ("", "13"), ("", "99"), ("", "99999999999999999999"), ("?from_sequence=3", "99"),
        ("?events=step", "99"),
      ] as [(String, String)])
    func whoHasSeenMoreThanThereIsGetsTheTerminalEvent(_ backend: Backend, _ start: (String, String)) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.completedRun(#"{"tokens":10}"#)
        let events = try server.subscribe(
          to: run, query: start.0, headers: ["Last-Event-ID: \(start.1)"]
        ).remainingEvents()
        #expect(events.map(\.type) == ["complete"] && events.first?.sequence == 12)
      }
    }

    @Test(
      arguments: Backend.allCases, [("?from_sequence=50", [], 6), ("", ["Last-Event-ID: 49"], 6)])
    func whoWaitsForMoreThanComesIsToldTheEnd(
      _ backend: Backend, _ start: (query: String, headers: [String], last: Int)
    ) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":4,"interval_ms":100}"#)
        let events = try server.subscribe(to: run, query: start.query, headers: start.headers)
          .remainingEvents()
        #expect(events.map(\.type) == ["complete"] && events.first?.sequence == start.last)
      }
    }

    @Test(arguments: Backend.allCases)
    func aStartingPointInTheFutureWaitsForIt(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":20,"interval_ms":20}"#)
        let events = try server.subscribe(to: run, query: "?from_sequence=15").remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run, from: 15)
        #expect(events.count == 8)
      }
    }

    @Test(arguments: Backend.allCases)
    func aClientThatReconnectsAsABrowserDoesMissesNothing(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":100,"interval_ms":5}"#)
        var events: [Event] = []
        while events.last?.isTerminal != true {
          let headers = events.last?.id.map { ["Last-Event-ID: \($0)"] } ?? []
          let stream = try server.subscribe(to: run, query: "?from_sequence=1", headers: headers)
          for _ in 0..<7 { if let event = try stream.event() { events.append(event) } }
          stream.connection.close()
        }
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.count == 102)
      }
    }

    @Test(
      arguments: Backend.allCases,
      [
        "from_sequence=-1", "from_sequence=x", "from_sequence=1.5", "from_sequence=",
        "from_sequence=99999999999999999999", "timeout=0", "timeout=3601", "timeout=x", "timeout=-5",
      ])
    func aBadQueryValueIs400AndIsNamed(_ backend: Backend, _ query: String) throws {
      try withServer(on: backend, "echo") { server throws in
        let run = try server.completedRun(#"{"text":"x"}"#)
        let response = try server.get("/runs/\(run)/events?\(query)")
        #expect(response.status == 400)
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        let name = try #require(query.split(separator: "=").first)
        #expect(try response.errorSentence().contains(name), "\(response.text)")
      }
    }

    @Test(arguments: Backend.allCases)
    func aSubscriptionEndsAfterItsTimeoutAndGoesOnFromThere(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let run = try server.startRun(#"{"tokens":3,"hang":true}"#)
        let relay = try RelayControl()
        let start = monotonicNanoseconds()
        let stream = try server.subscribe(to: run, query: "?timeout=1")
        let events = try stream.remainingEvents()
        let duration = seconds(since: start)
        #expect((0.9...3 + relay.stop().worst / 1000 * 3).contains(duration))
        #expect(events.map(\.type) == ["started", "token", "token", "token", "timeout"])
        let timeout = try #require(events.last)
        #expect(timeout.id == nil && timeout.sequence == nil)
        let json = try timeout.json()
        #expect(json.names == ["last_sequence", "message", "run_id", "type"])
        #expect(json["run_id"]?.string == run)
        #expect(json["last_sequence"] == 4)
        #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
        let rest = try server.subscribe(to: run, headers: ["Last-Event-ID: 4"]).remainingEvents()
        #expect(rest.map(\.type) == ["cancelled"] && rest.first?.sequence == 5)
      }
    }

    @Test(arguments: Backend.allCases)
    func theDockfilesDefaultTimeoutApplies(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", streaming: "connection: {default_timeout: 1}") {
        server throws in
        let run = try server.startRun(#"{"tokens":0,"hang":true}"#)
        let relay = try RelayControl()
        let start = monotonicNanoseconds()
        #expect(try server.subscribe(to: run).remainingEvents().map(\.type) == ["started", "timeout"])
        let duration = seconds(since: start)
        #expect((0.9...3 + relay.stop().worst / 1000 * 3).contains(duration))
      }
    }

    @Test(arguments: Backend.allCases)
    func aTrimmedStartIsToldAsAGap(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", maxEventsPerRun: 10) { server throws in
        let run = try server.completedRun(#"{"tokens":100}"#)
        for (query, from) in [("", 1), ("?from_sequence=50", 50), ("?from_sequence=92", 92)] {
          let events = try server.subscribe(to: run, query: query).remainingEvents()
          let gap = try #require(events.first)
          #expect(gap.type == "gap" && gap.id == nil)
          #expect(
            gap.data == #"{"run_id":"\#(run)","type":"gap","from_sequence":\#(from),"to_sequence":92}"#)
          expectWholeStream(events, idField: "run_id", id: run, from: 93)
          #expect(events.count == 11)
        }
        let whole = try server.subscribe(to: run, query: "?from_sequence=93").remainingEvents()
        expectWholeStream(whole, idField: "run_id", id: run, from: 93)
        #expect(!whole.contains { $0.type == "gap" })
      }
    }

    @Test(arguments: Backend.allCases)
    func aGapIsToldToANarrowedSubscriptionToo(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", maxEventsPerRun: 10) { server throws in
        let run = try server.completedRun(#"{"tokens":100}"#)
        let events = try server.subscribe(to: run, query: "?events=step").remainingEvents()
        #expect(events.map(\.type) == ["gap", "complete"])
      }
    }

    @Test(arguments: Backend.allCases)
    func beyondTheSubscribersOfARunTheAnswerIs429(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", streaming: "connection: {max_subscribers_per_run: 2}") {
        server throws in
        let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
        let other = try server.startRun(#"{"tokens":1,"hang":true}"#)
        let held = try (0..<2).map { _ in try server.subscribe(to: run) }
        let refused = try server.get("/runs/\(run)/events")
        #expect(refused.status == 429)
        #expect(try refused.errorCode() == "TOO_MANY_SUBSCRIBERS")
        #expect((refused["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
        #expect(try server.subscribe(to: other).event()?.type == "started", "the bound is one run's")
        held[0].connection.close()
        let admitted = try eventually(within: 5) {
          let connection = try server.connect()
          try connection.send(requestText("GET", "/runs/\(run)/events"))
          let start = String(decoding: try connection.receive(until: .in(5)), as: UTF8.self)
          return start.hasPrefix("HTTP/1.1 200")
        }
        #expect(admitted)
      }
    }
  }
}
