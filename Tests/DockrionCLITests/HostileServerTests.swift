import DockrionCore
import Foundation
import Testing

/// The client commands against servers that mean them ill, or are none.
struct HostileServerTests {
  static let commands = [
    ["runs"], ["invoke"], ["invoke", "--stream"], ["invoke", "--run"], ["tail", "r"], ["cancel", "r"],
  ]

  private func run(_ arguments: [String], _ server: HostileServer, within seconds: Double = 60) throws
    -> Command.Result
  {
    let environment = ["DOCKRION_URL": server.url, "DOCKRION_API_KEY": "the-secret-key"]
    return try Command(arguments, in: TemporaryDirectory(), environment: environment).finish(within: seconds)
  }

  // MARK: Redirects

  @Test(
    arguments: commands, ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect"])
  func noRedirectIsFollowed(command: [String], status: String) throws {
    let thief = try HostileServer { peer, _ in try peer.sendReply("200 OK", "{}") }
    let server = try HostileServer { peer, _ in
      try peer.send(
        "HTTP/1.1 \(status)\r\nLocation: \(thief.url)/elsewhere\u{1B}]0;x\u{7}\r\nContent-Length: 0\r\n\r\n")
    }
    let result = try run(command, server)
    #expect(result.code == 1)
    #expect(
      result.err.contains(status.prefix(3)) && result.err.contains("\(thief.url)/elsewhere"), "\(result.err)")
    #expect(!result.err.contains("\u{1B}"))
    #expect(server.requests.first?.lowercased().contains("x-api-key: the-secret-key") == true)
    #expect(thief.requests.isEmpty)
  }

  @Test func aKeyThatWouldMakeAFieldOfItsOwnIsWrongUsage() throws {
    let server = try HostileServer { peer, _ in try peer.sendReply("200 OK", #"{"runs":[]}"#) }
    for key in ["k\r\nX-Evil: 1", "k\n", "k\u{7F}"] {
      let result = try dockrion("runs", "--url", server.url, "--api-key", key, in: TemporaryDirectory())
      #expect(result.code == 2)
      #expect(result.err.contains("--api-key"), "\(result.err)")
      let fromVariable = try dockrion(
        "runs", "--url", server.url, in: TemporaryDirectory(), environment: ["DOCKRION_API_KEY": key])
      #expect(fromVariable.code == 2 && fromVariable.err.contains("DOCKRION_API_KEY"))
    }
    #expect(server.requests.isEmpty)
  }

  // MARK: Bounds

  /// What is sent without an end, and the sentence that it has to end with.
  struct Flood: CustomTestStringConvertible, Sendable {
    let command: [String]
    let begin: String
    let again: String
    let sentence: String
    var testDescription: String { "\(command): \(sentence)" }
  }

  private static let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
  private static let object = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
  private static let chunk = String(repeating: "x", count: 65_536)
  private static let manyLines = String(repeating: "data\n", count: 13_000)

  static let floods: [Flood] = [
    Flood(
      command: ["runs"], begin: object + "{\"runs\":[\"", again: chunk, sentence: "the reply has more than"),
    Flood(command: ["invoke"], begin: object, again: chunk, sentence: "the reply has more than"),
    Flood(command: ["cancel", "r"], begin: object, again: chunk, sentence: "the reply has more than"),
    Flood(
      command: ["tail", "r"], begin: "HTTP/1.1 404 Not Found\r\n\r\n", again: chunk,
      sentence: "the reply has more than"),
    Flood(
      command: ["tail", "r"], begin: stream + "data: ", again: chunk,
      sentence: "an event of more than 1048576 bytes"),
    Flood(
      command: ["tail", "r"], begin: stream + "event: token\n", again: manyLines,
      sentence: "an event of more than 1048576 bytes"),
    Flood(
      command: ["tail", "r"], begin: stream + ": ", again: chunk,
      sentence: "an event of more than 1048576 bytes"),
    Flood(
      command: ["invoke", "--stream"], begin: stream + "id: ", again: chunk,
      sentence: "an event of more than 1048576 bytes"),
    Flood(
      command: ["invoke", "--stream"], begin: stream + "event: complete\ndata: ", again: chunk,
      sentence: "an event of more than 17825792 bytes"),
    Flood(
      command: ["runs"], begin: "HTTP/1.1 200 OK\r\nX: ", again: chunk, sentence: "head"),
    Flood(
      command: ["tail", "r"], begin: "HTTP/1.1 200 OK\r\n", again: "X-A: bcdefgh\r\n",
      sentence: "the reply's head has more than 65536 bytes"),
    Flood(
      command: ["tail", "r"], begin: "", again: "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n",
      sentence: "the reply's head has more than 65536 bytes"),
  ]

  @Test(arguments: floods)
  func whatHasNoEndIsLeft(flood: Flood) throws {
    let taken = Locked(0)
    let most = 256 << 20
    let server = try HostileServer { peer, _ in
      try peer.send(flood.begin)
      let count = peer.flood(flood.again, atMost: most)
      taken.withLock { $0 += count }
    }
    let result = try run(flood.command, server)
    #expect(result.code == 1)
    #expect(result.err.contains(flood.sentence), "\(result.err.prefix(500))")
    #expect(result.out.utf8.count < 1000)
    let left = eventually(within: 20) { taken.withLock { $0 } > 0 }
    #expect(left)
    // 17 MiB at most, and what lies in the sockets.
    #expect(taken.withLock { $0 } < most / 4)
    #expect(server.requests.count == 1)
  }

  @Test func whatIsWithinTheBoundsIsTaken() throws {
    let content = String(repeating: "é", count: 500_000)
    let output = String(repeating: "o", count: 16_000_000)
    let server = try HostileServer { peer, _ in
      try peer.beginStream()
      try peer.send("retry: 2000\nid: 1\nevent: token\ndata: {\"content\":\"\(content)\"}\n\n")
      try peer.send("id: 2\nevent: complete\ndata: {\"output\":{\"a\":\"\(output)\"}}\n\n")
    }
    let result = try run(["tail", "r", "--format", "jsonl"], server)
    #expect(result.code == 0, "\(result.err)")
    #expect(result.out.utf8.count > 17_000_000)
  }

  @Test(
    arguments: commands,
    ["Content-Encoding: gzip", "content-encoding:br", "Transfer-Encoding: gzip, chunked"])
  func noCodingIsTaken(command: [String], field: String) throws {
    let server = try HostileServer { peer, _ in
      try peer.send("HTTP/1.1 200 OK\r\n\(field)\r\n\r\n\u{1F}\u{8B}")
    }
    let result = try run(command, server)
    #expect(result.code == 1)
    #expect(result.err.contains("which was not asked for"), "\(result.err)")
    #expect(server.requests.first?.lowercased().contains("accept-encoding: identity\r\n") == true)
  }

  @Test(arguments: [["tail", "r"], ["invoke", "--stream"]])
  func aPageIsNoStream(command: [String]) throws {
    let server = try HostileServer { peer, _ in
      try peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<h1>Sign in\n\n")
    }
    let result = try run(command, server)
    #expect(result.code == 1)
    #expect(result.err.contains("text/html and no event stream: is this a Dockrion server?"), "\(result.err)")
    #expect(server.requests.count == 1)
  }

  // MARK: Reconnecting

  /// The nth connection comes (n − 1) · 200 ms after the first at the earliest, however slow the machine is.
  @Test(arguments: [
    "retry: 1\nid: %\nevent: token\ndata: {}\n\nevent: timeout\ndata: {}\n\n",
    "retry: 0\nid: %\nevent: token\ndata: {}\n\n",
  ])
  func itConnectsFiveTimesASecondAtMost(events: String) throws {
    let server = try HostileServer { peer, number in
      try peer.beginStream()
      try peer.send(
        number == 12
          ? "event: complete\ndata: {\"output\":{}}\n\n" : events.replacing("%", with: "\(number)"))
    }
    let clock = ContinuousClock()
    let start = clock.now
    let result = try run(["tail", "r"], server)
    #expect(result.code == 0, "\(result.err)")
    #expect(clock.now - start >= .milliseconds(11 * 200))
    #expect(server.requests.count == 12)
  }

  /// 0.2, 0.4, 0.8, 1.6 and 2 s lie between six connections that bring nothing new.
  @Test(arguments: [
    "retry: 1\n\nevent: timeout\ndata: {}\n\n",
    "id: 1\nevent: token\ndata: {}\n\nevent: timeout\ndata: {}\n\n",
    "retry: 0\nevent: heartbeat\ndata: {}\n\n",
  ])
  func itWaitsLongerWhileConnectionsBringNothing(events: String) throws {
    let server = try HostileServer { peer, number in
      try peer.beginStream()
      if number == 1 { try peer.send("id: 1\nevent: token\ndata: {}\n\n") }
      try peer.send(number == 7 ? "event: complete\ndata: {\"output\":{}}\n\n" : events)
    }
    let clock = ContinuousClock()
    let start = clock.now
    let result = try run(["tail", "r"], server)
    #expect(result.code == 0, "\(result.err)")
    #expect(clock.now - start >= .milliseconds(5000))
    #expect(server.requests.count == 7)
  }

  @Test(arguments: [["cancel", "r"], ["invoke", "-p", "{}"]])
  func aReplyThatSaysNothingOfTheKindIsAnError(command: [String]) throws {
    for body in [#"{"success":false,"error":"no"}"#, "{}"] {
      let server = try HostileServer { peer, _ in
        try peer.send(
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
      }
      let result = try run(command, server)
      #expect(result.code == 1 && result.out == "", "\(result.out)")
      #expect(result.err.contains("is this a Dockrion server?"), "\(result.err)")
    }
  }

  @Test func aServerThatOnlyTakesConnectionsIsGivenUp() throws {
    let server = try HostileServer { peer, _ in try peer.beginStream() }
    let result = try run(["tail", "r", "--retry-for", "1"], server)
    #expect(result.code == 1)
    #expect(result.err.contains("for 1 s, giving up"), "\(result.err)")
  }

  @Test func anIDThatIsNoSequenceIsNotSentBack() throws {
    let server = try HostileServer { peer, number in
      try peer.beginStream()
      try peer.send("id: 7\nevent: token\ndata: {}\n\n")
      if number == 1 { try peer.send("id: 8\u{B}X-Evil: 1\nevent: token\ndata: {}\n\n") }
      if number == 2 { try peer.send("event: complete\ndata: {\"output\":{}}\n\n") }
    }
    let result = try run(["tail", "r"], server)
    #expect(result.code == 0)
    #expect(server.requests.last?.lowercased().contains("last-event-id: 7\r\n") == true)
  }
}
