import Testing

/// A cancel, the agent's own end and the time limit at the same moment: one of them wins, and only one.
@Suite(.ownsMachine) struct RaceTests {
  private static let terminalOf = ["completed": "complete", "failed": "error", "cancelled": "cancelled"]

  @Test(arguments: Backend.allCases)
  func aCancelAndTheAgentsEndLeaveExactlyOneTerminalEvent(_ backend: Backend) throws {
    try withServer(on: backend, "scripted") { server throws in
      let connection = try server.connect()
      var outcomes: [String: Int] = [:]
      for round in 0..<400 {
        let tokens = round % 40
        let body = #"{"tokens":\#(tokens),"interval_ms":\#(round % 3 == 0 ? 0 : 0.05)}"#
        let created = try connection.request("POST", "/runs?run_id=race-\(round)", body: body)
        #expect(created.status == 202)
        let deleted = try connection.request("DELETE", "/runs/race-\(round)?reason=race")
        let outcome = try expectOneEnd(server, connection, "race-\(round)")
        #expect(deleted.status == (outcome == "cancelled" ? 200 : 409), "round \(round)")
        outcomes[outcome, default: 0] += 1
      }
      print("cancel against the agent's end: \(outcomes)")
      #expect(outcomes["cancelled", default: 0] > 0)
    }
  }

  @Test(arguments: Backend.allCases)
  func manyCancelsOfOneRunHaveOneWinner(_ backend: Backend) throws {
    try withServer(on: backend, "scripted") { server throws in
      for round in 0..<30 {
        let run = try server.startRun(#"{"tokens":10,"interval_ms":0.2}"#, query: "?run_id=many-\(round)")
        let requests = (0..<20).map { _ in requestText("DELETE", "/runs/\(run)") }
        let cancels = ManyStreams(to: server.port, requests: requests.map { $0.closing })
        try cancels.run(within: 10) { cancels.endedCount == 20 }
        let accepted = cancels.transcripts.filter { $0.bytes.starts(with: "HTTP/1.1 200".utf8) }.count
        let refused = cancels.transcripts.filter { $0.bytes.starts(with: "HTTP/1.1 409".utf8) }.count
        let outcome = try expectOneEnd(server, server.connect(), run)
        #expect(accepted == (outcome == "cancelled" ? 1 : 0), "round \(round)")
        #expect(accepted + refused == 20)
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func theTimeLimitTheAgentsEndAndACancelLeaveExactlyOneTerminalEvent(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {max_run_duration: 1}") { server throws in
      let connection = try server.connect()
      // The agents end by themselves between 0.9 and 1.1 s, around the limit.
      let runs = try (0..<200).map { index in
        let body = #"{"tokens":2,"interval_ms":\#(900 + index)}"#
        return try server.startRun(body, query: "?run_id=limit-\(index)")
      }
      let subscribers = ManyStreams(
        to: server.port, requests: runs.map { requestText("GET", "/runs/\($0)/events") })
      let start = monotonicNanoseconds()
      var next = 0
      var accepted: Set<String> = []
      try subscribers.run(within: 20) {
        // Every fourth run is cancelled, spread over the moments around the limit.
        while next < runs.count, seconds(since: start) > 0.8 + Double(next) * 0.0015 {
          let run = runs[next]
          next += 4
          if try connection.request("DELETE", "/runs/\(run)").status == 200 { accepted.insert(run) }
        }
        return subscribers.endedCount == runs.count && next >= runs.count
      }
      var outcomes: [String: Int] = [:]
      for (run, body) in zip(runs, try subscribers.bodies()) {
        var parser = FrameParser()
        let seen = try parser.feed(body, arrival: 0).compactMap(\.event)
        expectWholeStream(seen, idField: "run_id", id: run)
        let outcome = try expectOneEnd(server, connection, run)
        #expect(seen.last?.type == Self.terminalOf[outcome])
        #expect(accepted.contains(run) == (outcome == "cancelled"), "\(run)")
        outcomes[outcome, default: 0] += 1
      }
      print("time limit, end and cancel: \(outcomes)")
      #expect(outcomes.count >= 2)
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      let metrics = try server.metrics()
      for (status, count) in outcomes {
        #expect(metrics.sum("dockrion_runs_total", ["status": status]) == Double(count))
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func subscribersThatArriveAtTheMomentOfTheEndMissNothing(_ backend: Backend) throws {
    try withServer(on: backend, "scripted") { server throws in
      for round in 0..<100 {
        let run = try server.startRun(#"{"tokens":5,"interval_ms":\#(Double(round % 10) / 20)}"#)
        expectWholeStream(try server.subscribe(to: run).remainingEvents(), idField: "run_id", id: run)
      }
    }
  }

  /// Waits for the run's end; returns its status, which agrees with its one terminal event.
  private func expectOneEnd(
    _ server: ServerProcess, _ connection: Connection, _ run: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let stream = try EventStream(on: connection, request: requestText("GET", "/runs/\(run)/events"))
    let events = try stream.remainingEvents()
    expectWholeStream(events, idField: "run_id", id: run, sourceLocation: sourceLocation)
    let json = try connection.request("GET", "/runs/\(run)").json()
    let status = try #require(json["status"]?.string, sourceLocation: sourceLocation)
    #expect(Self.terminalOf[status] == events.last?.type, "\(run)", sourceLocation: sourceLocation)
    #expect(json["last_sequence"]?.int == events.last?.sequence, sourceLocation: sourceLocation)
    return status
  }
}

extension String {
  /// The request, asking for the connection's end after its reply.
  fileprivate var closing: String {
    replacing("\r\n\r\n", with: "\r\nConnection: close\r\n\r\n", maxReplacements: 1)
  }
}
