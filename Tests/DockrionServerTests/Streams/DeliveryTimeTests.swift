import Testing

/// When tokens arrive: these tests measure, so they run alone.
@Suite(.ownsMachine) struct DeliveryTimeTests {
  @Test func aTokenArrivesWithinTwoMillisecondsOfItsEmit() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":200,"interval_ms":5,"stamp":true}"#
      let direct = try delays(server.invokeStream(body))
      let run = try server.startRun(body)
      let stored = try delays(server.subscribe(to: run))
      for (name, delays) in [("A", direct), ("B", stored)] {
        try #require(delays.count == 200)
        let median = delays.sorted()[100]
        print(
          "Pattern \(name): emit to arrival, median \(median) ms, 99th percentile \(delays.sorted()[197]) ms")
        #expect(median < 2, "Pattern \(name)")
        #expect(delays.sorted()[197] < 40, "Pattern \(name)")
      }
    }
  }

  @Test func tokensArriveApartAsTheyAreMadeAndNotAtTheEnd() throws {
    try withServer(dockfile("scripted")) { server throws in
      let events = try server.invokeStream(#"{"tokens":10,"interval_ms":50}"#).remainingEvents()
      let arrivals = events.filter { $0.type == "token" }.map(\.arrival)
      try #require(arrivals.count == 10)
      let gaps = zip(arrivals.dropFirst(), arrivals).map { Double($0 - $1) / 1e6 }
      #expect(gaps.sorted()[4] > 40, "\(gaps)")
      #expect(Double((arrivals.last ?? 0) - arrivals[0]) / 1e6 > 400, "\(gaps)")
    }
  }

  @Test func timestampsTellWhenAnEventWasEmitted() throws {
    try withServer(dockfile("scripted")) { server throws in
      let events = try server.invokeStream(#"{"tokens":5,"interval_ms":100}"#).remainingEvents()
      let times = try events.filter { $0.type == "token" }.map { event in
        let text = try event.json()["timestamp"]?.string ?? ""
        let parts = try #require(text.firstMatch(of: /T(\d\d):(\d\d):(\d\d\.\d{3})Z/))
        let (hours, minutes, seconds) = (Double(parts.1) ?? 0, Double(parts.2) ?? 0, Double(parts.3) ?? 0)
        return hours * 3600 + minutes * 60 + seconds
      }
      try #require(times.count == 5)
      // Modulo a day, for a test that runs at midnight.
      let whole = (times[4] - times[0] + 86_400).truncatingRemainder(dividingBy: 86_400)
      #expect((0.39...1.5).contains(whole), "\(times)")
    }
  }

  private func delays(_ stream: EventStream) throws -> [Double] {
    try stream.remainingEvents().filter { $0.type == "token" }.map { event in
      let content = try event.json()["content"]?.string ?? ""
      let stamp = try #require(content.prefixMatch(of: /t=(\d+)\ /).flatMap { UInt64($0.1) })
      return Double(event.arrival - stamp) / 1e6
    }
  }
}
