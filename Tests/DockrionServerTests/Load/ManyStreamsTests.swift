import Testing

@Suite(.ownsMachine) struct ManyStreamsTests {
  @Test func aThousandStreamsOfTwentyTokensFinishTogetherAndLoseNothing() throws {
    try withServer(dockfile("scripted")) { server throws in
      func thousand(_ body: String) throws -> (ManyStreams, Double) {
        let request = requestText("POST", "/invoke/stream", body: body)
        let streams = ManyStreams(to: server.port, requests: Array(repeating: request, count: 1000))
        let start = monotonicNanoseconds()
        try streams.run(within: 60) { streams.endedCount == 1000 }
        return (streams, seconds(since: start))
      }
      // The same work without the pauses.
      let (_, work) = try thousand(#"{"tokens":20}"#)
      let (streams, duration) = try thousand(#"{"tokens":20,"interval_ms":50}"#)
      print("1,000 streams of 20 tokens: at once \(work) s, 50 ms apart \(duration) s")
      // The pauses of one are 0.95 s, and those of the others pass meanwhile.
      #expect(duration < 2 + 4 * work)
      #expect(try sequences(streams.bodies()).allSatisfy { $0 == Array(1...22) })
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func twoThousandHeldStreamsCostLessThan12KiBEachAndFewThreads() throws {
    try withServer(dockfile("scripted")) { server throws in
      let request = requestText("POST", "/invoke/stream", body: #"{"tokens":1,"hang":true}"#)
      // Buffers, pools and the allocator's own pages are there before the first measurement.
      let warm = ManyStreams(to: server.port, requests: Array(repeating: request, count: 100))
      try warm.run(within: 10) { warm.answeredCount == 100 }
      warm.closeAll()
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      func median() throws -> Double {
        var times: [Double] = []
        for _ in 0..<9 {
          let start = monotonicNanoseconds()
          #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
          times.append(seconds(since: start))
        }
        return times.sorted()[4]
      }
      let alone = try median()
      let before = server.residentBytes

      let streams = ManyStreams(to: server.port, requests: Array(repeating: request, count: 2000))
      try streams.run(within: 30) {
        streams.transcripts.allSatisfy { $0.bytes.firstRange(of: Array("event: token".utf8)) != nil }
      }
      let cost = (server.residentBytes - before) / 2000
      let threads = server.threadCount
      print("2,000 held streams: \(cost) bytes of resident memory each, \(threads) threads")
      #expect(cost < 12 * 1024)
      #expect(threads < 40)
      #expect(try server.metrics().sum("dockrion_active_runs") == 2000)
      let beside = try median()
      print("/invoke: \(alone * 1000) ms alone, \(beside * 1000) ms beside 2,000 held streams")
      #expect(beside < 0.05 + 5 * alone)
      streams.closeAll()
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func twoThousandAgentsThatSleepBetweenTokensNeedFewThreads() throws {
    try withServer(dockfile("scripted")) { server throws in
      let request = requestText("POST", "/invoke/stream", body: #"{"tokens":20,"interval_ms":150}"#)
      let streams = ManyStreams(to: server.port, requests: Array(repeating: request, count: 2000))
      var threads = 0
      try streams.run(within: 60) {
        threads = max(threads, server.threadCount)
        return streams.endedCount == 2000
      }
      print("2,000 agents that sleep between tokens: at most \(threads) threads")
      #expect(threads > 0 && threads < 40)
      #expect(try sequences(streams.bodies()).allSatisfy { $0 == Array(1...22) })
    }
  }

  @Test func agentsThatBlockTheirThreadStallNobody() throws {
    try withServer(dockfile("scripted")) { server throws in
      let request = requestText("POST", "/invoke/stream", body: #"{"tokens":1,"block_ms":6000}"#)
      let blocked = ManyStreams(to: server.port, requests: Array(repeating: request, count: 8))
      try blocked.run(within: 10) { blocked.answeredCount == 8 }
      // All of these are answered before one of the eight has ended.
      for _ in 0..<20 {
        #expect(try server.post("/invoke", #"{"tokens":2,"interval_ms":1}"#).status == 200)
        #expect(try server.get("/health").status == 200)
      }
      var looks = 0
      try blocked.run(within: 5) {
        looks += 1
        return looks > 3
      }
      #expect(blocked.endedCount == 0, "the requests waited for agents that block")
      try blocked.run(within: 20) { blocked.endedCount == 8 }
      #expect(try sequences(blocked.bodies()).allSatisfy { $0 == [1, 2, 3] })
    }
  }
}

/// The sequences of every body's events, each body read strictly.
func sequences(_ bodies: [[UInt8]]) throws -> [[Int]] {
  try bodies.map { body in
    var parser = FrameParser()
    let frames = try parser.feed(body, arrival: 0)
    guard parser.isBetweenFrames else { throw ClientError("a body ends inside a frame") }
    return frames.compactMap(\.event?.sequence)
  }
}
