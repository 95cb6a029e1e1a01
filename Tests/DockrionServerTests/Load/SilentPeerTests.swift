import Testing

/// Peers that vanish without FIN or RST: a phone in a tunnel, a machine that lost its power.
@Suite(.onlyWaits) struct SilentPeerTests {
  private static let stallSeconds = 1
  /// TCP gives up five seconds after the stall timeout; the rest is for a busy machine.
  private static let patience = Double(stallSeconds) + 5 + 4
  private static let sections = """
    runtime: {stall_timeout_seconds: \(stallSeconds), shutdown_grace_seconds: 0}
    streaming: {events: {heartbeat_interval: 1}}
    """

  @Test(arguments: PeerNetwork.Way.allCases)
  func aStreamWhosePeerFallsSilentIsClosed(_ way: PeerNetwork.Way) throws {
    let network = try PeerNetwork()
    try withServer(dockfile("scripted", Self.sections), arguments: ["--host", "0.0.0.0"]) { server throws in
      let before = server.socketCount
      let run = try server.startRun(#"{"tokens":1000000,"interval_ms":20}"#)
      let near = try server.subscribe(to: run)
      _ = try near.events(through: "token")
      let peer = try network.inside {
        let place = Endpoint.address(network.hostAddress, server.port)
        func direct(_ body: String) throws -> EventStream {
          try EventStream(
            on: Connection(to: place), request: requestText("POST", "/invoke/stream", body: body))
        }
        let talking = try direct(#"{"tokens":1000000,"interval_ms":20}"#)
        let silent = try direct(#"{"tokens":1,"hang":true}"#)
        let subscribed = try EventStream(
          on: Connection(to: place), request: requestText("GET", "/runs/\(run)/events"))
        return [talking, silent, subscribed]
      }
      for stream in peer { #expect(try stream.events(through: "token").last?.type == "token") }
      #expect(eventually(within: 2) { server.socketCount == before + 4 })
      #expect(try server.metrics().sum("dockrion_active_runs") == 3)

      try network.cut(way)
      let start = monotonicNanoseconds()
      var open = 0.0
      let closed = try eventually(within: Self.patience) {
        open = try server.metrics().sum("dockrion_open_streams") - 1
        return open == 0
      }
      #expect(closed, "\(Int(open)) of 3 are still open")
      print("\(way): a silent peer's streams are closed after \(seconds(since: start)) s")
      #expect(try eventually(within: 2) { try server.metrics().sum("dockrion_active_runs") == 1 })
      #expect(eventually(within: 2) { server.socketCount == before + 1 })

      #expect(try server.run(run)["status"] == "running", "Pattern B goes on")
      let seen = try #require(try near.event()?.sequence)
      #expect(
        try server.subscribe(to: run, query: "?from_sequence=\(seen + 50)").events(through: "token").count
          == 1)
    }
  }

  /// The stall timeout is for those who live and do not read; it need not pass first.
  @Test(arguments: [
    (#"{"tokens":1,"hang":true}"#, "heartbeat"), (#"{"tokens":1000000,"interval_ms":50}"#, "token"),
  ])
  func anAgentsSilentClientIsNoticedAtAHeartbeatOrBetween(_ body: String, _ sign: String) throws {
    let network = try PeerNetwork()
    let sections = """
      runtime: {stall_timeout_seconds: 60, shutdown_grace_seconds: 0}
      streaming: {events: {heartbeat_interval: 1}}
      """
    try withServer(dockfile("scripted", sections), arguments: ["--host", "0.0.0.0"]) { server throws in
      let stream = try network.inside {
        try EventStream(
          on: Connection(to: .address(network.hostAddress, server.port)),
          request: requestText("POST", "/invoke/stream", body: body))
      }
      _ = try stream.events(through: sign)
      // Heartbeats that are acknowledged end nothing.
      let reader = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
      try network.cut(.linkDown)
      let start = monotonicNanoseconds()
      #expect(try eventually(within: 20) { try server.metrics().sum("dockrion_active_runs") == 1 })
      print("a silent client's agent is cancelled after \(seconds(since: start)) s")
      #expect(try server.metrics().sum("dockrion_streams_closed_total", ["reason": "stalled"]) == 1)
      #expect(try reader.events(through: "heartbeat").last?.type == "heartbeat")
    }
  }

  @Test func aPeerWhoseLinkIsDownIsCountedAsStalled() throws {
    let network = try PeerNetwork()
    try withServer(dockfile("scripted", Self.sections), arguments: ["--host", "0.0.0.0"]) { server throws in
      let stream = try network.inside {
        try EventStream(
          on: Connection(to: .address(network.hostAddress, server.port)),
          request: requestText("POST", "/invoke/stream", body: #"{"tokens":1,"hang":true}"#))
      }
      _ = try stream.events(through: "token")
      // The kernel then says "no route to host" instead of "timed out".
      try network.cut(.linkDown)
      func closed(_ labels: [String: String] = [:]) throws -> Double {
        try server.metrics().sum("dockrion_streams_closed_total", labels)
      }
      #expect(try eventually(within: Self.patience) { try closed() == 1 })
      #expect(try closed(["reason": "stalled"]) == 1)
    }
  }

  @Test func anInvokeWhosePeerFallsSilentIsCancelled() throws {
    let network = try PeerNetwork()
    try withServer(dockfile("scripted", Self.sections), arguments: ["--host", "0.0.0.0"]) { server throws in
      let before = server.socketCount
      let peer = try network.inside {
        try Connection(to: .address(network.hostAddress, server.port))
      }
      try peer.send(requestText("POST", "/invoke", body: #"{"tokens":1,"hang":true}"#))
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      try network.cut(.linkDown)
      // Nothing is on its way to this peer, so that only a probe of TCP's can find out.
      let cancelled = try eventually(within: Self.patience) {
        try server.metrics().sum("dockrion_active_runs") == 0
      }
      #expect(cancelled, "the agent works for a peer that is gone")
      #expect(eventually(within: 2) { server.socketCount == before })
    }
  }
}
