import Testing

/// Silence on a stream, section 6.
@Suite(.sharesMachine) struct HeartbeatTests {
  @Test func aSilentDirectStreamGetsAHeartbeatEverySecond() throws {
    try withServer(dockfile("scripted", "streaming: {events: {heartbeat_interval: 1}}")) { server throws in
      let stream = try server.invokeStream(#"{"tokens":1,"hang":true}"#, headers: ["X-Request-Id: r"])
      let opening = try (0..<2).map { _ in try stream.event()?.type }
      #expect(opening == ["started", "token"])
      let relay = try RelayControl()
      let beats = try (0..<2).compactMap { _ in try stream.event(within: 4) }
      let late = relay.stop().worst / 1000 * 3
      try #require(beats.count == 2)
      for beat in beats {
        #expect(beat.type == "heartbeat" && beat.id == nil && beat.sequence == nil)
        let form = /\{"request_id":"r","type":"heartbeat","timestamp":"[0-9T:.-]+Z"\}/
        #expect(beat.data.wholeMatch(of: form) != nil, "\(beat.data)")
      }
      let gap = Double(beats[1].arrival - beats[0].arrival) / 1e9
      #expect((0.8 - late...2.5 + late).contains(gap))
    }
  }

  @Test(arguments: Backend.allCases)
  func aSilentSubscriptionGetsAHeartbeatThatIsNotStored(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {heartbeat_interval: 1}") { server throws in
      let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
      let stream = try server.subscribe(to: run)
      let beat = try #require(try stream.events(through: "heartbeat").last)
      #expect(beat.id == nil)
      let form = /\{"run_id":"[^"]+","type":"heartbeat","timestamp":"[0-9T:.-]+Z"\}/
      #expect(beat.data.wholeMatch(of: form) != nil, "\(beat.data)")
      #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
      #expect(try stream.events(through: "cancelled").last?.sequence == 3)
      #expect(
        try server.subscribe(to: run).remainingEvents().map(\.type) == ["started", "token", "cancelled"])
    }
  }

  @Test func aStreamThatIsNeverSilentGetsNoHeartbeat() throws {
    try withServer(dockfile("scripted", "streaming: {events: {heartbeat_interval: 1}}")) { server throws in
      let events = try server.invokeStream(#"{"tokens":25,"interval_ms":100}"#).remainingEvents()
      #expect(!events.contains { $0.type == "heartbeat" })
      #expect(events.count == 27)
    }
  }

  @Test func theChatPresetKeepsHeartbeats() throws {
    try withServer(dockfile("scripted", "streaming: {events: {allowed: chat, heartbeat_interval: 1}}")) {
      server throws in
      let stream = try server.invokeStream(#"{"tokens":0,"hang":true}"#)
      #expect(try stream.events(through: "heartbeat", within: 4).map(\.type) == ["started", "heartbeat"])
    }
  }

  @Test func aFilterWithoutHeartbeatsGivesACommentInstead() throws {
    try withServer(dockfile("scripted", "streaming: {events: {allowed: [token], heartbeat_interval: 1}}")) {
      server throws in
      let direct = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
      try expectComment(on: direct, after: 2)
      let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
      try expectComment(on: server.subscribe(to: run), after: 2)
    }
  }

  @Test(arguments: Backend.allCases)
  func aSubscriptionThatNarrowsHeartbeatsAwayGetsComments(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {heartbeat_interval: 1}") { server throws in
      let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
      try expectComment(on: server.subscribe(to: run, query: "?events=token"), after: 2)
      let other = try server.subscribe(to: run, query: "?events=token,heartbeat")
      #expect(try other.events(through: "heartbeat", within: 4).count == 3)
    }
  }

  private func expectComment(on stream: EventStream, after frames: Int) throws {
    for _ in 0..<frames { _ = try stream.frame() }
    guard case .comment(let text) = try stream.frame(within: 4) else {
      Issue.record("no comment")
      return
    }
    #expect(text == "keep-alive")
  }
}
