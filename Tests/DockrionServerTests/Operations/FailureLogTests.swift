import Foundation
import Testing

/// What stands in the log when something goes wrong: section 2 of the wire protocol.
@Suite(.sharesMachine) struct FailureLogTests {
  private static let json = ["--host", "127.0.0.1", "--log-format", "json"]
  /// An event that the emit refuses: the agent ends with an error that is no `AgentError`.
  private static let unforeseen =
    #"{"emit":[{"type":"custom","name":"mine","data":{"sequence":1}}],"tokens":0}"#
  private static let chosen = #"{"tokens":0,"fail":"page 3 has no text","code":"NO_TEXT"}"#

  private func isError(_ line: JSON) -> Bool { line["level"] == "error" }

  @Test func whatAnAgentFailsWithIsInTheLogOnceBehindEveryRoute() throws {
    try withServer(dockfile("scripted"), arguments: Self.json) { server throws in
      #expect(try server.post("/invoke", Self.chosen, headers: ["X-Request-Id: one"]).status == 500)
      _ = try server.invokeStream(Self.chosen, headers: ["X-Request-Id: two"]).remainingEvents()
      let run = try server.startRun(Self.chosen)
      _ = try server.waitForRun(run, status: "failed")
      let lines = try server.log(3, isError)
      #expect(lines.count == 3, "\(lines)")
      for (line, (route, field, id)) in zip(
        lines,
        [("/invoke", "request_id", "one"), ("/invoke/stream", "request_id", "two"), ("/runs", "run_id", run)])
      {
        #expect(line["route"]?.string == route)
        #expect(line[field]?.string == id)
        #expect(line["code"] == "NO_TEXT")
        #expect(line["message"]?.string?.contains("page 3 has no text") == true)
      }
    }
  }

  @Test func anUnforeseenErrorReachesClientsAsTheAgentFailedAndTheLogAsItsText() throws {
    try withServer(dockfile("scripted"), arguments: Self.json) { server throws in
      let reply = try server.post("/invoke", Self.unforeseen)
      #expect(reply.status == 500)
      #expect(
        try reply.json() == ["success": false, "error": "the agent failed", "code": "AGENT_ERROR"])
      let event = try #require(try server.invokeStream(Self.unforeseen).remainingEvents().last)
      #expect(event.type == "error")
      #expect(try event.json()["error"] == "the agent failed")
      #expect(try event.json()["code"] == "AGENT_ERROR")
      let run = try server.startRun(Self.unforeseen)
      let record = try server.waitForRun(run, status: "failed")
      #expect(record["error"] == ["message": "the agent failed", "code": "AGENT_ERROR", "details": nil])
      #expect(try !server.subscribe(to: run).remainingEvents().contains { $0.data.contains("reserved") })
      for line in try server.log(3, isError) {
        #expect(line["message"]?.string?.contains("sequence") == true, "\(line)")
        #expect(line["code"] == "AGENT_ERROR")
      }
    }
  }

  @Test func exposeErrorsSendsTheText() throws {
    let sections = "runtime: {shutdown_grace_seconds: 0, expose_errors: true}"
    try withServer(dockfile("scripted", sections), arguments: Self.json) { server throws in
      let reply = try server.post("/invoke", Self.unforeseen)
      #expect(try reply.json()["error"]?.string?.contains("sequence") == true, "\(reply.text)")
      let event = try #require(try server.invokeStream(Self.unforeseen).remainingEvents().last)
      #expect(try event.json()["error"]?.string?.contains("sequence") == true, "\(event.data)")
    }
  }

  @Test func theTimeLimitIsInTheLogBehindEveryRoute() throws {
    let text = dockfile("scripted", "streaming: {events: {max_run_duration: 1}}")
    try withServer(text, arguments: Self.json) { server throws in
      let body = #"{"tokens":0,"hang":true}"#
      let run = try server.startRun(body)
      let stream = try server.invokeStream(body, headers: ["X-Request-Id: two"])
      #expect(try server.post("/invoke", body, headers: ["X-Request-Id: one"]).status == 504)
      #expect(try stream.remainingEvents().last?.type == "error")
      _ = try server.waitForRun(run, status: "failed")
      let lines = try server.log(3, isError)
      #expect(lines.allSatisfy { $0["code"] == "RUN_TIMEOUT" }, "\(lines)")
      #expect(Set(lines.compactMap { $0["route"]?.string }) == ["/invoke", "/invoke/stream", "/runs"])
      #expect(Set(lines.compactMap { $0["request_id"]?.string }) == ["one", "two"])
      #expect(lines.compactMap { $0["run_id"]?.string } == [run])
    }
  }

  @Test func repliesOf500AndAboveAreErrorsInTheLog() throws {
    let server = try ServerProcess(
      dockfile("scripted", "runtime: {shutdown_grace_seconds: 20}"), arguments: Self.json)
    let held = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
    #expect(try held.event()?.type == "started")
    let early = try server.connect()
    #expect(try early.request("GET", "/health").status == 200)
    server.signal(SIGTERM)
    #expect(try eventually(within: 5) { try early.request("GET", "/ready").status == 503 })
    let refused = try early.request("POST", "/invoke", headers: ["X-Request-Id: late"], body: "{}")
    #expect(refused.status == 503)
    let line = try #require(try server.log { $0["request_id"] == "late" }.first)
    #expect(line["level"] == "error")
    #expect(line["code"] == "SHUTTING_DOWN")
    #expect(line["route"] == "/invoke")
    #expect(line["status"] == "503")
    #expect(line["message"] == "the server is stopping")
    held.connection.close()
    #expect(server.waitForExit(within: 10) == 0)
  }

  @Test func refusedRequestsAreNoticesTenASecondOfEachKindAndTheRestIsCounted() throws {
    let text = dockfile(
      "scripted", "runtime: {shutdown_grace_seconds: 0, max_concurrent_runs: 1}\nauth: {mode: api_key}")
    try withServer(text, environment: ["DOCKRION_API_KEY": "right"], arguments: Self.json) { server throws in
      let connection = try server.connect()
      for _ in 0..<50 { #expect(try connection.request("POST", "/invoke", body: "{}").status == 401) }
      let key = "X-API-Key: right"
      let held = try server.invokeStream(#"{"tokens":1,"hang":true}"#, headers: [key])
      #expect(try held.event()?.type == "started")
      for _ in 0..<30 {
        #expect(try connection.request("POST", "/invoke", headers: [key], body: "{}").status == 429)
      }
      // Every request is in the log: by a line of its own, or in the number of those that have none.
      for (code, count) in [("AUTH_ERROR", 50), ("TOO_MANY_RUNS", 30)] {
        var lines: [JSON] = []
        let isWhole = try eventually(within: 5) {
          lines = try server.logLines().filter { $0["code"]?.string == code }
          let unlisted = lines.compactMap { $0["unlisted"]?.string.flatMap { Int($0) } }.reduce(0, +)
          return lines.count(where: { $0["unlisted"] == nil }) + unlisted == count
        }
        #expect(isWhole, "\(code): \(lines)")
        let listed = lines.filter { $0["unlisted"] == nil }
        #expect(lines.allSatisfy { $0["level"] == "notice" })
        #expect(listed.allSatisfy { $0["route"] == "/invoke" && $0["client"] == "127.0.0.1" })
        let seconds = Dictionary(grouping: listed) { $0["timestamp"]?.string?.prefix(19) ?? "" }
        #expect(
          seconds.values.allSatisfy { $0.count <= 20 }, "ten in a second, which may lie in two of the clock's"
        )
        #expect(listed.count < count, "more than ten in less than a second")
      }
      held.connection.close()
    }
  }

  @Test func anErrorsTextCannotForgeLines() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":0,"fail":"first\nsecond\u001b[31m","code":"A B=\"C\""}"#
      #expect(try server.post("/invoke", body, headers: ["X-Request-Id: r"]).status == 500)
      var line: Substring?
      let came = eventually(within: 5) {
        line = server.errorOutput.split(separator: "\n").first { $0.contains("first") }
        return line != nil
      }
      #expect(came)
      #expect(
        line?.contains(#"first\nsecond\u{1B}[31m code="A B=\"C\"" request_id=r route=/invoke"#) == true,
        "\(line ?? "")")
    }
  }

  @Test func noLogHoldsControlsThatATerminalObeys() throws {
    let file = NSTemporaryDirectory() + "dockrion-access-\(UUID().uuidString).log"
    defer { try? FileManager.default.removeItem(atPath: file) }
    try withServer(dockfile("scripted"), arguments: Self.json + ["--access-log", file]) { server throws in
      let body = #"{"tokens":0,"fail":"first\u009b31m\u007fü"}"#
      #expect(try server.post("/invoke", body, headers: ["User-Agent: \u{9B}31m"]).status == 500)
      let came = eventually(within: 5) {
        server.errorOutput.contains("first")
          && ((try? String(contentsOfFile: file, encoding: .utf8)) ?? "") != ""
      }
      #expect(came)
      #expect(server.errorOutput.contains(#"first\u009b31m\u007fü"#), "\(server.errorOutput)")
      let line = try String(contentsOfFile: file, encoding: .utf8)
      #expect(line.contains(#""user_agent":"\u009b31m""#), "\(line)")
    }
  }

  @Test(arguments: ["text", "json"])
  func noLogHoldsWhatTurnsTheDirectionOfText(format: String) throws {
    let file = NSTemporaryDirectory() + "dockrion-access-\(UUID().uuidString).log"
    defer { try? FileManager.default.removeItem(atPath: file) }
    let hidden = "\u{202E}\u{2066}\u{200F}\u{61C}\u{2028}\u{85}"
    let arguments = ["--host", "127.0.0.1", "--log-format", format, "--access-log", file]
    try withServer(dockfile("scripted"), arguments: arguments) { server throws in
      let body = #"{"tokens":0,"fail":"first\#(hidden)","code":"C\#(hidden)"}"#
      #expect(try server.post("/invoke", body, headers: ["User-Agent: \(hidden)z"]).status == 500)
      var line = ""
      let came = eventually(within: 5) {
        line = (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
        return server.errorOutput.contains("first") && line.hasSuffix("\n")
      }
      #expect(came)
      for text in [line, server.errorOutput] {
        #expect(
          !text.unicodeScalars.contains(where: hidden.unicodeScalars.contains), "\(text.debugDescription)")
      }
      let escaped = #"\u202e\u2066\u200f\u061c\u2028\u0085"#
      #expect(line.contains(#""user_agent":"\#(escaped)z""#), "\(line)")
      let shown = format == "json" ? escaped : #"\u{202E}\u{2066}\u{200F}\u{061C}\u{2028}\u{0085}"#
      #expect(server.errorOutput.contains("first\(shown)"), "\(server.errorOutput)")
    }
  }

  @Test func anErrorOfManyBytesIsCutInTheLog() throws {
    try withServer(dockfile("scripted"), arguments: Self.json) { server throws in
      let text = String(repeating: "ä", count: 50_000)
      let body = #"{"tokens":0,"fail":"\#(text)"}"#
      #expect(try server.post("/invoke", body).status == 500)
      let message = try #require(try server.log(1, isError).first?["message"]?.string)
      #expect(message.utf8.count < 4200)
      #expect(message.hasSuffix("… (100018 bytes)"), "\(message.suffix(40))")
    }
  }
}
