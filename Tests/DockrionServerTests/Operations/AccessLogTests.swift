import Foundation
import Testing

/// `--access-log`: one JSON line a request.
@Suite(.sharesMachine) struct AccessLogTests {
  /// Starts a server with an access log in a directory of its own, and waits for lines in it.
  private final class Log {
    let directory: String
    var path: String { directory + "/access.log" }
    var arguments: [String] { ["--host", "127.0.0.1", "--log-format", "json", "--access-log", path] }

    init() throws { directory = try makeDirectory() }
    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func text(_ name: String = "access.log") -> String {
      String(decoding: FileManager.default.contents(atPath: directory + "/" + name) ?? Data(), as: UTF8.self)
    }

    func lines(_ count: Int, in name: String = "access.log", within seconds: Double = 10) throws -> [JSON] {
      var found: [JSON] = []
      let came = try eventually(within: seconds) {
        found = try DockrionServerTests.lines(of: text(name))
        return found.count >= count
      }
      guard came else { throw ClientError("\(found.count) of \(count) lines: \(text(name).suffix(2000))") }
      return found
    }

    /// Waits for a line.
    func line(_ condition: (JSON) -> Bool) throws -> JSON {
      let deadline = Deadline.in(10)
      while !deadline.hasPassed {
        if let found = try DockrionServerTests.lines(of: text()).first(where: condition) { return found }
        usleep(5000)
      }
      throw ClientError("no such line: \(text().suffix(2000))")
    }
  }

  private static let fields = [
    "bytes", "client", "method", "path", "request_id", "route", "run_id", "seconds", "status", "time",
    "user_agent",
  ]

  @Test func everyRequestHasItsLineWithAllFields() throws {
    let log = try Log()
    let agent = "User-Agent: probe/1 \"x\""
    var bodyCount = 0
    try withServer(dockfile("scripted"), arguments: log.arguments) { server throws in
      bodyCount = try server.get("/health?secret=1", headers: [agent]).body.count
      let body = #"{"tokens":3,"interval_ms":100}"#
      _ = try server.invokeStream(body, headers: ["X-Request-Id: r-1", agent]).remainingEvents()
      _ = try log.lines(2)
      _ = try server.post("/runs?run_id=mine", #"{"tokens":0}"#)
      _ = try server.subscribe(to: "mine").remainingEvents()
      _ = try log.lines(4)
      _ = try server.get("/no%20where")
      _ = try server.post("/invoke", "[", headers: ["X-Request-Id: r-2"])
    }
    let lines = try log.lines(6)
    #expect(lines.count == 6)
    for line in lines {
      #expect(line.names == Self.fields)
      #expect(line["client"] == "127.0.0.1")
      #expect(line["time"]?.string?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)
      #expect(line["bytes"]?.int ?? 0 > 100)
    }
    #expect(lines[0]["bytes"]?.int ?? 0 > bodyCount)
    #expect(lines[1]["seconds"]?.double ?? 0 >= 0.2)
    #expect(lines[1]["bytes"]?.int ?? 0 > 400)
    let expected: [[JSON]] = [
      ["GET", "/health", "/health", 200, .null, .null, "probe/1 \"x\""],
      ["POST", "/invoke/stream", "/invoke/stream", 200, "r-1", .null, "probe/1 \"x\""],
      ["POST", "/runs", "/runs", 202, .null, "mine", .null],
      ["GET", "/runs/{run_id}/events", "/runs/mine/events", 200, .null, "mine", .null],
      ["GET", "unknown", "/no%20where", 404, .null, .null, .null],
      ["POST", "/invoke", "/invoke", 400, "r-2", .null, .null],
    ]
    let names = ["method", "route", "path", "status", "request_id", "run_id", "user_agent"]
    for (line, values) in zip(lines, expected) {
      #expect(names.map { line[$0] ?? .null } == values)
    }
  }

  /// What is refused before it is a request is what an operator looks for: as far as it can be read.
  @Test func aRefusedRequestShowsWhatWasReceived() throws {
    let log = try Log()
    let requests: [(bytes: String, method: String, path: String, status: Int)] = [
      ("GET /health?key=1 HTTP/9.9\r\nHost: a\r\n\r\n", "GET", "/health", 400),
      ("GET //x/metrics?a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "//x/metrics", 400),
      ("BREW /pot\u{1}?a=b HTTP/1.1\r\nHost: a\r\n\r\n", "BREW", "/pot\u{1}", 400),
      ("PUT /runs/a%20b?x HTTP/1.1\r\n\r\n", "PUT", "/runs/a%20b", 400),
      ("POST /invoke?x=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "POST", "/invoke", 501),
      ("DELETE /runs/r HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "DELETE", "/runs/r", 400),
      ("CONNECT a:80 HTTP/1.1\r\n\r\n", "CONNECT", "a:80", 400),
      ("GET http://u@h/a?b HTTP/1.1\r\n\r\n", "GET", "http://u@h/a", 400),
      (
        "GET /" + String(repeating: "p", count: 17_000), "GET", "/" + String(repeating: "p", count: 2047), 431
      ),
      ("G@T /health HTTP/1.1\r\n\r\n", "-", "-", 400), ("GET\r\n\r\n", "GET", "-", 400),
      ("\u{16}\u{3}\u{1}\r\n\r\n", "-", "-", 400), ("{\"a\":1}\r\n", "-", "-", 400),
      ("GET  HTTP/1.1\r\n\r\n", "GET", "-", 400),
      ("PATCH /invoke HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "PATCH", "/invoke", 405),
    ]
    try withServer(dockfile("echo"), arguments: log.arguments) { server throws in
      for (index, request) in requests.enumerated() {
        let conversation = try RawConversation(server.connect(), [Array(request.bytes.utf8)])
        #expect(conversation.replies.map(\.status) == [request.status], "\(request.bytes.prefix(60))")
        let line = try #require(try log.lines(index + 1).last)
        #expect(line["method"]?.string == request.method, "\(request.bytes.prefix(60))")
        #expect(line["path"]?.string == request.path, "\(request.bytes.prefix(60))")
        #expect(line["status"]?.int == request.status)
      }
    }
  }

  @Test func aFloodOfPipelinedRequestsIsInTheLogWhenItIsClosed() throws {
    let log = try Log()
    try withServer(dockfile("scripted"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      try connection.send(requestText("POST", "/invoke", body: #"{"tokens":0,"hang":true}"#))
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      let behind = String(repeating: requestText("GET", "/health"), count: 4000)
      try? connection.send(behind)
      #expect(connection.isClosedByServer(within: 10))
      let said = try server.log { $0["message"]?.string?.contains("65536 bytes") == true }
      #expect(said.count == 1, "\(said)")
      #expect(said.first?["level"] == "notice")
      #expect(said.first?["client"] == "127.0.0.1")
      #expect(said.first?["route"] == "/invoke")
    }
    #expect(try log.line { $0["route"] == "/invoke" }["status"] == 499)
  }

  @Test func theBytesAreThoseThatTheClientGot() throws {
    let log = try Log()
    try withServer(dockfile("echo"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      for text in ["a", String(repeating: "b", count: 5000)] {
        try connection.send(requestText("POST", "/invoke", body: #"{"text":"\#(text)"}"#))
        var got = 0
        let due = try #require(try log.lines(text == "a" ? 1 : 2).last?["bytes"]?.int)
        while got < due { got += try connection.receive(until: .in(5)).count }
        #expect(got == due)
        #expect(!connection.hasBytes)
      }
    }
  }

  @Test func aClientThatLeavesBeforeItsReplyIs499() throws {
    let log = try Log()
    try withServer(dockfile("scripted"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      try connection.send(requestText("POST", "/invoke", body: #"{"tokens":0,"hang":true}"#))
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      connection.close()
      let line = try log.line { $0["route"] == "/invoke" }
      #expect(line["status"] == 499)
      #expect(line["bytes"] == 0)
    }
  }

  @Test func trustedProxiesSayWhoTheClientIs() throws {
    let log = try Log()
    let text = dockfile("echo", "expose: {trusted_proxies: [127.0.0.1]}")
    try withServer(text, arguments: log.arguments) { server throws in
      _ = try server.get("/health", headers: ["X-Forwarded-For: 192.0.2.7"])
      #expect(try log.lines(1).last?["client"] == "192.0.2.7")
      let stream = try server.invokeStream(#"{"text":"a"}"#, headers: ["X-Forwarded-For: 192.0.2.8"])
      _ = try stream.remainingEvents()
      #expect(try log.lines(2).last?["client"] == "192.0.2.8")
    }
  }

  @Test func sigusr1GoesOnInANewFileAndLosesNothing() throws {
    let log = try Log()
    try withServer(dockfile("echo"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      for _ in 0..<5 { #expect(try connection.request("GET", "/health").status == 200) }
      _ = try log.lines(5)
      for round in 1...3 {
        let old = "access.log.\(round)"
        try FileManager.default.moveItem(atPath: log.path, toPath: log.directory + "/" + old)
        // What is asked for in between belongs into the old file.
        #expect(try connection.request("GET", "/ready").status == 200)
        server.signal(SIGUSR1)
        #expect(eventually(within: 5) { FileManager.default.fileExists(atPath: log.path) })
        #expect(try log.lines(round == 1 ? 6 : 2, in: old).last?["path"] == "/ready")
        #expect(try connection.request("GET", "/health").status == 200)
        #expect(try log.lines(1).last?["path"] == "/health")
      }
    }
    #expect(try log.lines(1).count == 1)
  }

  @Test func withoutAnAccessLogSIGUSR1HarmsNobody() throws {
    try withServer(dockfile("echo")) { server throws in
      server.signal(SIGUSR1)
      #expect(eventually(within: 5) { server.errorOutput.contains("--access-log") })
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func aFullDiskStopsNobodyAndWhatIsLostIsCountedAndSaid() throws {
    // Writing to it fails as on a full disk.
    let arguments = ["--host", "127.0.0.1", "--log-format", "json", "--access-log", "/dev/full"]
    try withServer(dockfile("echo"), arguments: arguments) { server throws in
      let connection = try server.connect()
      for _ in 0..<200 {
        #expect(try connection.request("POST", "/invoke", body: #"{"text":"a"}"#).status == 200)
      }
      let said = try server.log { $0["level"] == "error" }
      #expect(said.count == 1, "\(said)")
      #expect(said.first?["message"]?.string?.contains("/dev/full") == true)
      #expect(said.first?["message"]?.string?.contains("No space left") == true)
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_access_log_lost_total") >= 200 })
    }
  }

  @Test func aDiskThatHangsStopsNobody() throws {
    let log = try Log()
    // A pipe whose reader does not read is as slow as a disk can be.
    #expect(mkfifo(log.path, 0o600) == 0)
    let reader = open(log.path, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    try withServer(dockfile("echo"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      let agent = "User-Agent: " + String(repeating: "u", count: 2000)
      let path = "/" + String(repeating: "p", count: 2000)
      var requests = 0
      while try requests % 100 != 0 || server.metrics().sum("dockrion_access_log_lost_total") == 0 {
        #expect(try connection.request("GET", path, headers: [agent]).status == 404)
        requests += 1
        guard requests < 4000 else { throw ClientError("nothing is lost, and more than 8 MB wait") }
      }
      #expect(try server.log { $0["level"] == "error" }.count == 1)
    }
  }

  @Test func aFileThatCannotBeOpenedIsAStartErrorOfOneLine() throws {
    let start = try failedStart(
      dockfile("echo"), arguments: ["--port", "0", "--access-log", "/no/such/place/access.log"])
    #expect(start.code == 1)
    #expect(start.message.split(separator: "\n").count == 1, "\(start.message)")
    #expect(start.message.contains("/no/such/place/access.log"))
    #expect(start.message.contains("No such file or directory"))
  }

  @Test func theDashIsStandardOutput() throws {
    let arguments = ["--host", "127.0.0.1", "--log-format", "json", "--access-log", "-"]
    try withServer(dockfile("echo"), arguments: arguments) { server throws in
      #expect(try server.get("/health").status == 200)
      let came = try eventually(within: 5) {
        try lines(of: server.output).contains { $0["path"] == "/health" }
      }
      #expect(came)
    }
  }

  @Test func whatIsAskedForJustBeforeTheEndIsWritten() throws {
    let log = try Log()
    try withServer(dockfile("echo"), arguments: log.arguments) { server throws in
      let connection = try server.connect()
      for _ in 0..<100 { #expect(try connection.request("GET", "/health").status == 200) }
    }
    #expect(try log.lines(100).count == 100)
  }
}
