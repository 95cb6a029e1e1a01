import Foundation
import Testing

/// When tokens arrive: these tests measure, so they run alone.
@Suite(.ownsMachine) struct DeliveryTimeTests {
  @Test func aTokenArrivesWithinTwoMillisecondsOfItsEmit() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":200,"interval_ms":5,"stamp":true}"#
      let control = try RelayControl()
      let direct = try delays(server.invokeStream(body))
      let run = try server.startRun(body)
      let stored = try delays(server.subscribe(to: run))
      let relay = control.stop()
      print("a relay beside it: median \(relay.median) ms, at most \(relay.worst) ms")
      for (name, delays) in [("A", direct), ("B", stored)] {
        try #require(delays.count == 200)
        let median = delays.sorted()[100]
        print(
          "Pattern \(name): emit to arrival, median \(median) ms, 99th percentile \(delays.sorted()[197]) ms")
        #expect(median < 2 + 3 * relay.median, "Pattern \(name)")
        #expect(delays.sorted()[197] < 40 + 3 * relay.worst, "Pattern \(name)")
      }
    }
  }

  @Test func tokensArriveApartAsTheyAreMadeAndNotAtTheEnd() throws {
    try withServer(dockfile("scripted")) { server throws in
      let events = try server.invokeStream(#"{"tokens":20,"interval_ms":50,"stamp":true}"#).remainingEvents()
      let tokens = events.filter { $0.type == "token" }
      try #require(tokens.count == 20)
      // Each is there before the next is made; a busy machine may be late with some.
      let made = try tokens.map(Self.stamp)
      let inTime = zip(tokens, made.dropFirst()).count { $0.arrival < $1 }
      #expect(inTime >= 12, "\(inTime) of 19 were there before the next was made")
    }
  }

  @Test func timestampsTellWhenAnEventWasEmitted() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":5,"interval_ms":100,"stamp":true}"#
      let events = try server.invokeStream(body).remainingEvents().filter { $0.type == "token" }
      let times = try events.map { event in
        let text = try event.json()["timestamp"]?.string ?? ""
        let parts = try #require(text.firstMatch(of: /T(\d\d):(\d\d):(\d\d\.\d{3})Z/))
        let (hours, minutes, seconds) = (Double(parts.1) ?? 0, Double(parts.2) ?? 0, Double(parts.3) ?? 0)
        return hours * 3600 + minutes * 60 + seconds
      }
      try #require(times.count == 5)
      // Between the stamp, which the agent takes just before, and the arrival. Modulo a day, for a test at midnight.
      let now = Date().timeIntervalSince1970 - Double(monotonicNanoseconds()) / 1e9
      for (event, time) in zip(events, times) {
        func age(_ nanoseconds: UInt64) -> Double {
          (time - now - Double(nanoseconds) / 1e9 + 43_200 + 86_400 * 1e6).truncatingRemainder(
            dividingBy: 86_400) - 43_200
        }
        #expect(try age(Self.stamp(event)) > -0.015 && age(event.arrival) < 0.015, "\(time)")
      }
    }
  }

  private func delays(_ stream: EventStream) throws -> [Double] {
    try stream.remainingEvents().filter { $0.type == "token" }.map { event in
      Double(event.arrival - (try Self.stamp(event))) / 1e6
    }
  }

  /// When the agent made the token, just before its emit.
  private static func stamp(_ event: Event) throws -> UInt64 {
    let content = try event.json()["content"]?.string ?? ""
    return try #require(content.prefixMatch(of: /t=(\d+)\ /).flatMap { UInt64($0.1) })
  }
}
