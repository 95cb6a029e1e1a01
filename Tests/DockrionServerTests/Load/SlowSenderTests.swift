import Testing

/// Slow-loris: clients that hold a connection by never finishing what they say.
@Suite(.ownsMachine) struct SlowSenderTests {
  private static let timeout = 2.0
  private static let each = 100
  private static let sections = """
    runtime: {request_timeout_seconds: \(Int(timeout)), shutdown_grace_seconds: 0}
    """

  /// What a client sends at once, and what it then sends byte by byte for ever.
  enum Habit: String, CaseIterable {
    case silent, head, endlessHead, body, chunkedBody, expectation

    var atOnce: String {
      let start = "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
      return switch self {
      case .silent, .head: ""
      case .endlessHead: start
      case .body: start + "Content-Length: 100000\r\n\r\n"
      case .chunkedBody: start + "Transfer-Encoding: chunked\r\n\r\n"
      case .expectation: start + "Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
      }
    }

    var slowly: String {
      switch self {
      case .silent, .expectation: ""
      case .head:
        "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
      case .endlessHead: "X-Filler: a\r\n"
      case .body: #"{"text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"#
      case .chunkedBody: "1\r\na\r\n"
      }
    }
  }

  @Test func hundredsOfSlowSendersAreClosedInTimeWhileOthersAreServed() throws {
    try withServer(dockfile("scripted", Self.sections)) { server throws in
      let before = server.socketCount
      try crowd(server)
      #expect(eventually(within: 5) { server.socketCount <= before })
      let settled = server.residentBytes
      try crowd(server)
      #expect(eventually(within: 5) { server.socketCount <= before })
      let growth = server.residentBytes - settled
      let count = Self.each * Habit.allCases.count
      print("after \(count) more slow senders: \(growth / 1024) KiB more resident memory")
      #expect(growth < count * 1024)
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_active_runs") == 0)
      #expect(metrics.sum("dockrion_requests_total", ["route": "/invoke"]) == 0)
    }
  }

  private struct Sender {
    let habit: Habit
    let connection: Connection
    let openedAt: UInt64
    var position = 0
    var closedAfter: Double?
  }

  private func crowd(_ server: ServerProcess) throws {
    var senders: [Sender] = []
    for _ in 0..<Self.each {
      for habit in Habit.allCases {
        let connection = try server.connect()
        senders.append(Sender(habit: habit, connection: connection, openedAt: monotonicNanoseconds()))
        try connection.send(habit.atOnce)
      }
    }
    let relay = try RelayControl()
    var slowest = 0.0
    let allClosed = try eventually(within: Self.timeout + 8) { () throws in
      for index in senders.indices where senders[index].closedAfter == nil { turn(&senders[index]) }
      let asked = monotonicNanoseconds()
      #expect(try server.get("/health").status == 200)
      slowest = max(slowest, seconds(since: asked))
      return senders.allSatisfy { $0.closedAfter != nil }
    }
    #expect(allClosed, "still open: \(senders.filter { $0.closedAfter == nil }.map(\.habit))")
    let times = senders.compactMap(\.closedAfter)
    print(
      "slow senders: closed after \(times.min() ?? 0)…\(times.max() ?? 0) s; /health took \(slowest) s at most"
    )
    let late = relay.stop().worst / 1000 * 3
    #expect(slowest < 1 + late)
    for sender in senders {
      guard let time = sender.closedAfter else { continue }
      #expect((Self.timeout - 0.1...Self.timeout + 2 + late).contains(time), "\(sender.habit)")
    }
  }

  /// Sends one more byte, and sees whether the server has had enough.
  private func turn(_ sender: inout Sender) {
    if sender.connection.hasEnded {
      sender.closedAfter = seconds(since: sender.openedAt)
      sender.connection.close()
      return
    }
    let bytes = Array(sender.habit.slowly.utf8)
    guard !bytes.isEmpty, sender.habit != .head || sender.position < bytes.count else { return }
    // A connection that has just been closed is seen to be so in the next turn.
    try? sender.connection.send([bytes[sender.position % bytes.count]])
    sender.position += 1
  }
}
