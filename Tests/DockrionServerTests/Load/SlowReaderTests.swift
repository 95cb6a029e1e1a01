import Testing

@Suite(.ownsMachine) struct SlowReaderTests {
  @Test(arguments: Backend.allCases)
  func aSubscriberThatStopsReadingSlowsNobodyAndIsToldOfItsGap(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", maxEventsPerRun: 1000) { server throws in
      // 20 MB: far more than the sockets' buffers hold.
      let body = #"{"emit":[{"type":"sleep","ms":300}],"tokens":5000,"token_bytes":4000,"interval_ms":0.5}"#
      let alone = try server.subscribe(to: server.startRun(body))
      let startAlone = monotonicNanoseconds()
      #expect(try alone.eventsOfTheWhole().count == 5002)
      let control = seconds(since: startAlone)
      let run = try server.startRun(body)
      let slow = try server.subscribe(to: run, receiveBuffer: 4096)
      let quick = try server.subscribe(to: run)
      let start = monotonicNanoseconds()
      let events = try quick.eventsOfTheWhole()
      let duration = seconds(since: start)
      print("5,000 tokens: alone \(control) s, beside a subscriber that does not read \(duration) s")
      expectWholeStream(events, idField: "run_id", id: run)
      #expect(events.count == 5002)
      #expect(!events.contains { $0.type == "gap" })
      #expect(duration < 3 * control + 1)
      #expect(try server.run(run)["status"] == "completed")

      let late = try slow.remainingEvents()
      #expect(late.filter { $0.type == "gap" }.count >= 1)
      #expect(late.last?.type == "complete" && late.last?.sequence == 5002)
      try expectEveryLossIsTold(late)
    }
  }

  @Test func aDirectClientThatStopsReadingLosesNothingWhenItReadsOn() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":20000,"token_bytes":1000}"#
      let stream = try server.invokeStream(body, headers: ["X-Request-Id: r"], receiveBuffer: 4096)
      // The agent waits once every buffer is full: its count of events stands still.
      let count = try tokensOnceTheyStandStill(server)
      #expect(count < 20_000, "the agent did not wait")
      #expect(try server.metrics().sum("dockrion_ring_full_waits_total") > 0)
      let events = try stream.remainingEvents()
      expectWholeStream(events, idField: "request_id", id: "r")
      #expect(events.count == 20_002)
    }
  }

  @Test func memoryStaysBoundedWhileClientsDoNotRead() throws {
    try withServer(dockfile("scripted")) { server throws in
      let before = server.residentBytes
      let body = #"{"tokens":100000,"token_bytes":1000}"#
      let stalled = try (0..<10).map { _ in try server.invokeStream(body, receiveBuffer: 4096) }
      #expect(
        try tokensOnceTheyStandStill(server) < Double(stalled.count) * 100_000, "the agents did not wait")
      let cost = (server.residentBytes - before) / stalled.count
      print("a direct client that does not read holds \(cost / 1024) KiB")
      #expect(cost < 1 << 20)
    }
  }

  @Test func aClientThatStallsTooLongIsClosedAndCounted() throws {
    let short = "runtime: {stall_timeout_seconds: 1, shutdown_grace_seconds: 0}"
    try withServer(dockfile("scripted", short)) { server throws in
      let stream = try server.invokeStream(#"{"tokens":100000,"token_bytes":1000}"#, receiveBuffer: 4096)
      #expect(stream.head.status == 200)
      let cancelled = try eventually(within: 10) {
        try server.metrics().sum("dockrion_active_runs") == 0
      }
      #expect(cancelled)
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_open_streams") == 0)
      #expect(metrics.sum("dockrion_streams_closed_total") == 1)
    }
  }

  /// How many tokens have been emitted, once none has come for a second: two equal counts in quick succession
  /// would only say that the machine is busy.
  private func tokensOnceTheyStandStill(_ server: ServerProcess) throws -> Double {
    var count = -1.0
    var since = monotonicNanoseconds()
    let stands = try eventually(within: 60) {
      let now = try server.metrics().sum("dockrion_events_total", ["type": "token"])
      if now != count { (count, since) = (now, monotonicNanoseconds()) }
      return seconds(since: since) > 1
    }
    guard stands else { throw ClientError("the agents still emit after 60 s, \(count) tokens so far") }
    print("clients that do not read: the agents wait after \(Int(count)) tokens")
    return count
  }
}
