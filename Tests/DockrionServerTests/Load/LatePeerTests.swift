import Testing

/// Peers that are alive and far away: what they acknowledge comes a round trip later, which loopback hides.
@Suite(.onlyWaits) struct LatePeerTests {
  private static func sections(heartbeat: Int) -> String {
    """
    runtime: {stall_timeout_seconds: 60, shutdown_grace_seconds: 0}
    streaming: {events: {heartbeat_interval: \(heartbeat)}}
    """
  }

  private func closed(_ server: ServerProcess, _ reason: String? = nil) throws -> Double {
    try server.metrics().sum("dockrion_streams_closed_total", reason.map { ["reason": $0] } ?? [:])
  }

  /// Events then fall due with heartbeats, and some leave when the last acknowledgement is as old as one may be.
  @Test func agentsThatSpeakAboutEveryHeartbeatKeepTheirStreams() throws {
    let network = try PeerNetwork(oneWayMilliseconds: 0.4)
    try withServer(dockfile("scripted", Self.sections(heartbeat: 5)), arguments: ["--host", "0.0.0.0"]) {
      server throws in
      let streams = try network.inside {
        try (0..<120).map { number in
          let interval = 4990 + Double(number) / 10
          return try EventStream(
            on: Connection(to: .address(network.hostAddress, server.port)),
            request: requestText("POST", "/invoke/stream", body: #"{"tokens":4,"interval_ms":\#(interval)}"#))
        }
      }
      var ends: [String: Int] = [:]
      for stream in streams {
        let last = try? stream.remainingEvents(within: 30).last?.type
        ends[last ?? "broken", default: 0] += 1
      }
      #expect(ends == ["complete": 120])
      #expect(try closed(server, "stalled") == 0)
    }
  }

  @Test func aRoundTripOfSecondsIsNoSilence() throws {
    let network = try PeerNetwork(oneWayMilliseconds: 800)
    try withServer(dockfile("scripted", Self.sections(heartbeat: 1)), arguments: ["--host", "0.0.0.0"]) {
      server throws in
      let (silent, talking, pausing) = try network.inside {
        func stream(_ body: String) throws -> EventStream {
          try EventStream(
            on: Connection(to: .address(network.hostAddress, server.port)),
            request: requestText("POST", "/invoke/stream", body: body))
        }
        return (
          try stream(#"{"tokens":1,"hang":true}"#), try stream(#"{"tokens":200,"interval_ms":70}"#),
          try stream(#"{"tokens":3,"interval_ms":6500}"#)
        )
      }
      #expect(try talking.remainingEvents(within: 20).last?.type == "complete")
      #expect(try pausing.remainingEvents(within: 20).last?.type == "complete")
      // It has had a heartbeat a second all the while.
      for _ in 0..<12 { _ = try silent.events(through: "heartbeat") }
      #expect(try closed(server, "stalled") == 0)
    }
  }

  @Test func aPeerThatIsLostFarAwayIsNoticed() throws {
    let network = try PeerNetwork(oneWayMilliseconds: 50)
    try withServer(dockfile("scripted", Self.sections(heartbeat: 1)), arguments: ["--host", "0.0.0.0"]) {
      server throws in
      let streams = try network.inside {
        try [#"{"tokens":1,"hang":true}"#, #"{"tokens":1000000,"interval_ms":50}"#].map { body in
          try EventStream(
            on: Connection(to: .address(network.hostAddress, server.port)),
            request: requestText("POST", "/invoke/stream", body: body))
        }
      }
      for stream in streams { _ = try stream.events(through: "token") }
      try network.cut(.linkDown)
      let start = monotonicNanoseconds()
      #expect(try eventually(within: 25) { try server.metrics().sum("dockrion_active_runs") == 0 })
      print("peers that were lost far away are noticed after \(seconds(since: start)) s")
      #expect(try closed(server, "stalled") == 2)
    }
  }
}
