import DockrionCore
import Foundation
import Testing

/// What a hostile server writes must not steer the terminal of the person who reads it, and must stay data for programs.
struct HostileTextTests {
  /// A title, a clear, an 8-bit CSI, a delete, an override, an isolate, line separators.
  private static let evil = "a\u{1B}]0;owned\u{7}\u{1B}[2J\u{9B}31m\u{7F}\u{85}\u{202E}\u{2066}\u{2028}z"

  private static func steers(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A, 0x0D, 0x09: false
    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x206F: true
    default: false
    }
  }

  private static func json(_ text: String) -> String {
    // As a server may write it: escaped only where JSON demands it.
    text.unicodeScalars.map { scalar in
      let digits = String(scalar.value, radix: 16)
      return scalar.value < 0x20
        ? "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)" : String(scalar)
    }.joined()
  }

  private static let fields = [
    "type", "sequence", "agent_name", "framework", "step", "message", "name", "data", "finish_reason",
    "node_name",
    "reason", "code", "error", "own",
  ].map { "\"\($0)\":\"\(json(evil))\"" }.joined(separator: ",")

  private static let types = [
    "started", "progress", "checkpoint", "step", "gap", "message", "own\u{1B}[2J\u{9B}1m\u{202E}",
    "heartbeat",
    "timeout\u{7F}", "token", "error",
  ]

  private static func server() throws -> HostileServer {
    try HostileServer { peer, _ in
      try peer.beginStream()
      for (index, type) in types.enumerated() {
        try peer.send(
          "id: \(index + 1)\u{1B}c\u{9B}\nevent: \(type)\ndata: {\"content\":\"\(json(evil))\",\(fields)}\n\n"
        )
      }
    }
  }

  @Test(arguments: [["tail", "r"], ["invoke", "--stream"]], ["text", "jsonl", "sse"])
  func noEventSteersATerminal(command: [String], format: String) throws {
    let server = try Self.server()
    let terminal = try PseudoTerminal()
    let running = try Command(
      command + ["--format", format, "--url", server.url], in: TemporaryDirectory(),
      environment: ["NO_COLOR": "1"], terminal: terminal)
    let result = try running.finish { _ = terminal.shown }
    #expect(result.code == 1)
    // The moving line of progress is the program's own.
    let shown = terminal.shown.replacing("\r\u{1B}[K", with: "")
    #expect(shown.contains("owned"))
    #expect(!shown.unicodeScalars.contains(where: Self.steers), "\(shown.debugDescription)")
  }

  @Test func whatGoesToAProgramStaysTheSameJSON() throws {
    let server = try Self.server()
    let result = try dockrion(
      "tail", "r", "--format", "jsonl", "--url", server.url, in: TemporaryDirectory())
    #expect(!result.out.unicodeScalars.contains(where: Self.steers))
    let contents = try result.out.split(separator: "\n").map {
      try JSONObject(parsing: String($0))["content"]?.string
    }
    #expect(contents == Self.types.map { _ in Self.evil })
  }

  @Test(arguments: ["text", "jsonl", "sse"])
  func whatIsNoJSONObjectIsNoEvent(format: String) throws {
    for data in ["no\u{1B}[2J json", "[1]", "\"a\"", "{\"a\":1", "{}{}"] {
      let server = try HostileServer { peer, _ in
        try peer.beginStream()
        try peer.send("id: 1\nevent: token\ndata: \(data)\n\n")
        _ = try? peer.request(within: 30)
      }
      let result = try dockrion(
        "tail", "r", "--format", format, "--url", server.url, in: TemporaryDirectory())
      #expect(result.code == 1 && result.out.isEmpty)
      #expect(result.err.contains("no JSON object: is this a Dockrion server?"), "\(result.err)")
      #expect(!result.err.unicodeScalars.contains(where: Self.steers))
    }
  }

  @Test func noReplySteersATerminal() throws {
    let evil = Self.json(Self.evil)
    let replies = [
      (["runs"], "500 Oh", "{\"error\":\"\(evil)\",\"code\":\"\(evil)\"}"),
      (["tail", "r"], "404 Not Found", "{\"error\":\"\(evil)\",\"code\":\"\(evil)\"}"),
      (["invoke"], "200 OK", "{\"output\":{\"\(evil)\":\"\(evil)\"}}"),
      (["runs", "--format", "json"], "200 OK", "{\"runs\":[],\"own\":\"\(evil)\"}"),
      (
        ["runs"], "200 OK",
        "{\"runs\":[{\"run_id\":\"\(evil)\",\"status\":\"\(evil)\"}],\"next_cursor\":\"\(evil)\"}"
      ),
      (["invoke", "--run"], "202 Accepted", "{\"run_id\":\"\(evil)\"}"),
    ]
    for (command, status, body) in replies {
      let server = try HostileServer { peer, _ in try peer.sendReply(status, body) }
      let terminal = try PseudoTerminal()
      let running = try Command(
        command + ["--url", server.url], in: TemporaryDirectory(), environment: ["NO_COLOR": "1"],
        terminal: terminal)
      _ = try running.finish { _ = terminal.shown }
      let shown = terminal.shown
      #expect(shown.contains(command == ["invoke", "--run"] ? "no run_id" : "owned"))
      #expect(!shown.unicodeScalars.contains(where: Self.steers), "\(shown.debugDescription)")
    }
  }

  /// A line that is copied into a shell is an argument there, whatever the server put into it.
  @Test func aCursorIsQuotedForTheShell() throws {
    let server = try HostileServer { peer, _ in
      try peer.sendReply("200 OK", #"{"runs":[],"next_cursor":"a'; touch x; '"}"#)
    }
    let result = try dockrion("runs", "--url", server.url, in: TemporaryDirectory())
    #expect(result.err.contains(#"more: dockrion runs --cursor 'a'\''; touch x; '\'''"#), "\(result.err)")
  }

  @Test(arguments: ["1e300", "-1e300", "1e308", "9223372036854775807", "18446744073709551616"])
  func aProgressBeyondItsRangeIsClamped(number: String) throws {
    let server = try HostileServer { peer, _ in
      try peer.beginStream()
      try peer.send(
        "id: 1\nevent: progress\ndata: {\"sequence\":\(number),\"progress\":\(number),\"step\":\"s\"}\n\n"
          + "id: 2\nevent: step\ndata: {\"duration_ms\":\(number)}\n\n"
          + "id: 3\nevent: gap\ndata: {\"from_sequence\":\(number),\"to_sequence\":\(number)}\n\n"
          + "id: 4\nevent: complete\ndata: {\"latency_seconds\":\(number),\"output\":{}}\n\n")
    }
    let result = try dockrion("tail", "r", "--url", server.url, in: TemporaryDirectory())
    #expect(result.code == 0, "\(result.err)")
    #expect(
      result.out.contains(number.hasPrefix("-") ? "progress   0% s\n" : "progress   100% s\n"),
      "\(result.out)")
  }
}
