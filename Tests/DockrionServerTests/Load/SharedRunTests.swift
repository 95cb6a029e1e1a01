import Testing

@Suite(.ownsMachine) struct SharedRunTests {
  @Test func fortySubscribersThatJoinAtRandomMomentsAllSeeTheWholeRun() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.startRun(#"{"tokens":900,"interval_ms":1}"#)
      let request = requestText("GET", "/runs/\(run)/events")
      let delays = (0..<40).map { _ in Double.random(in: 0...1.2) }.sorted()
      let streams = ManyStreams(
        to: server.port, requests: Array(repeating: request, count: 40), delays: delays)
      try streams.run(within: 20) { streams.endedCount == 40 }
      let bodies = try streams.bodies()
      #expect(try sequences([bodies[0]])[0] == Array(1...902))
      for (index, body) in bodies.enumerated() {
        #expect(body == bodies[0], "the subscriber that joined after \(delays[index]) s")
      }
    }
  }

  @Test func subscribersThatComeAndGoAllTheTimeMissNothing() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.startRun(#"{"tokens":2000,"interval_ms":0.5}"#)
      var seen: [Int] = []
      while seen.last != 2002 {
        let stream = try server.subscribe(to: run, query: "?from_sequence=\((seen.last ?? 0) + 1)")
        for _ in 0..<Int.random(in: 1...120) {
          guard let event = try stream.event() else { break }
          seen.append(event.sequence ?? -1)
        }
        stream.connection.reset()
      }
      #expect(seen == Array(1...2002))
    }
  }

  @Test(arguments: Backend.allCases)
  func manyRunsAtOnceEachKeepTheirOwnOrder(_ backend: Backend) throws {
    try withServer(on: backend, "scripted") { server throws in
      let runs = try (0..<200).map { _ in try server.startRun(#"{"tokens":100,"interval_ms":2}"#) }
      let streams = ManyStreams(
        to: server.port, requests: runs.map { requestText("GET", "/runs/\($0)/events") })
      try streams.run(within: 30) { streams.endedCount == 200 }
      for (run, body) in zip(runs, try streams.bodies()) {
        var parser = FrameParser()
        expectWholeStream(
          try parser.feed(body, arrival: 0).compactMap(\.event), idField: "run_id", id: run)
      }
      #expect(try sequences(streams.bodies()).allSatisfy { $0 == Array(1...102) })
    }
  }
}
