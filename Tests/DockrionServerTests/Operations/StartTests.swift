import Foundation
import Testing

@Suite(.sharesMachine) struct StartTests {
  @Test func theStartLineSaysWhereTheServerListensAndHowToTryIt() throws {
    try withServer(dockfile("echo")) { server throws in
      #expect(server.output.contains("http://127.0.0.1:\(server.port)"))
      #expect(server.output.contains("curl"))
      #expect(try server.get("/health").status == 200)
    }
  }

  /// Also where requests are answered for some hosts alone, and where a key is needed.
  @Test(arguments: [
    "", "expose: {allowed_hosts: [\"*.example.com\", api.example.com]}\n",
    "expose: {allowed_hosts: [\"api.example.com:8443\"]}\nauth: {mode: api_key, api_keys: {header: X-Agent-Key}}\n",
  ])
  func theLineToTryItWorksAsItIsPrinted(sections: String) throws {
    let key = ["DOCKRION_API_KEY": "YOUR_KEY"]
    try withServer(dockfile("echo", sections), environment: key) { server throws in
      let line = try #require(server.output.firstMatch(of: /(?m)^try: (curl .*)$/)?.1)
      let said = try runCommand("sh", "-c", line + " --fail --silent --show-error --max-time 20")
      #expect(said.contains("event: complete\n"), "\(line): \(said)")
    }
  }

  @Test func aPortInUseIsOneLineAndExitCode1() throws {
    try withServer(dockfile("echo")) { server throws in
      let start = try failedStart(
        dockfile("echo"), arguments: ["--host", "127.0.0.1", "--port", "\(server.port)"])
      #expect(start.code == 1)
      expectOneLine(start.message, with: ["\(server.port)", "in use"])
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func aFileThatAsksForMoreThreadsThanThereAreStartsAndTheLogSaysWhatItGot() throws {
    try withServer(dockfile("echo", "runtime: {worker_threads: 240, shutdown_grace_seconds: 0}")) {
      server throws in
      #expect(try server.get("/health").status == 200)
      let line = try #require(
        server.errorOutput.split(separator: "\n").first { $0.contains("worker_threads") })
      #expect(line.contains("warning") && line.contains("240") && line.contains("get 120 each"))
    }
  }

  @Test func anUnknownAgentIsOneLineAndExitCode1() throws {
    let start = try failedStart(dockfile("nobody"), arguments: ["--port", "0"])
    #expect(start.code == 1)
    expectOneLine(start.message, with: ["nobody", "echo", "scripted"])
  }

  @Test func aMissingDockfileIsOneLineAndExitCode1() throws {
    let start = try failedStart(dockfile("echo"), arguments: ["--port", "0"], dockfileName: "Other.yaml")
    #expect(start.code == 1)
    expectOneLine(start.message, with: ["Other.yaml"])
  }

  @Test func everyMistakeInADockfileIsNamedWithItsLineAndExitCode1() throws {
    let text = dockfile(
      "echo",
      "streaming:\n  events:\n    heartbeat_interval: 0\n    max_run_duration: 90000\n    allowed: [tokn]")
    let start = try failedStart(text, arguments: ["--port", "0"])
    #expect(start.code == 1)
    for part in [
      "Dockfile.yaml:5: streaming.events.heartbeat_interval",
      "Dockfile.yaml:6: streaming.events.max_run_duration",
      "streaming.events.allowed",
    ] {
      let line = part.split(separator: ": ")
      #expect(
        start.message.split(separator: "\n").contains { message in line.allSatisfy { message.contains($0) } },
        "\(part) in \(start.message)")
    }
  }

  @Test(arguments: [
    "agent: [", "agent: {name: x}\n\tbad: tab", "- a list", "", "expose: {streaming: websocket}",
    "agent: {name: x, handler: echo}\nexpose: {port: 70000}",
    "agent: {name: x, handler: echo}\nstreaming: {backend: mysql}",
  ])
  func aBadDockfileIsExitCode1AndNamesTheFile(_ text: String) throws {
    let start = try failedStart(text, arguments: [])
    #expect(start.code == 1)
    #expect(start.message.contains("Dockfile.yaml"), "\(start.message)")
    #expect(!start.message.contains("Fatal error"), "\(start.message)")
  }

  @Test func theEnvironmentFillsTheDockfilesPlaceholders() throws {
    let text = """
      agent: {name: "${TEST_AGENT_NAME}", handler: echo}
      runtime: {shutdown_grace_seconds: 0, max_concurrent_runs: "${TEST_AGENT_RUNS:-1}"}
      metadata: {tier: "${TEST_AGENT_TIER:-free}"}
      """
    try withServer(text, environment: ["TEST_AGENT_NAME": "from-outside"]) { server throws in
      let info = try server.get("/info").json()
      #expect(info["agent"]?["name"] == "from-outside")
      #expect(info["metadata"]?["tier"] == "free")
    }
  }

  @Test func anUnknownKeyWarnsWithTheNearestKnownOne() throws {
    try withServer(dockfile("echo", "streaming: {events: {heartbeet_interval: 5}}")) { server throws in
      #expect(server.errorOutput.contains("heartbeet_interval"))
      #expect(server.errorOutput.contains("heartbeat_interval"))
    }
  }

  @Test func aUnixSocketServesEveryRoute() throws {
    let path = NSTemporaryDirectory() + "/dockrion-\(UUID().uuidString.prefix(8)).sock"
    for sections in ["expose: {unix_socket: \(path)}", ""] {
      let arguments = sections.isEmpty ? ["--unix-socket", path] : []
      try withServer(dockfile("echo", sections), arguments: arguments) { server throws in
        guard case .unix = server.endpoint else {
          Issue.record("no Unix socket: \(server.output)")
          return
        }
        #expect(try server.get("/health").status == 200)
        #expect(try server.post("/invoke", #"{"text":"Hi"}"#).json()["output"] == ["text": "Hi"])
        let events = try server.invokeStream(#"{"text":"one two"}"#, headers: ["X-Request-Id: r"])
          .remainingEvents()
        expectWholeStream(events, idField: "request_id", id: "r")
        let run = try server.completedRun(#"{"text":"one two"}"#)
        expectWholeStream(try server.subscribe(to: run).remainingEvents(), idField: "run_id", id: run)
      }
      #expect(!FileManager.default.fileExists(atPath: path), "the socket is gone after a stop")
    }
  }

  @Test func aSocketFileThatNobodyServesIsReplaced() throws {
    let path = NSTemporaryDirectory() + "/dockrion-\(UUID().uuidString.prefix(8)).sock"
    let first = try ServerProcess(dockfile("echo"), arguments: ["--unix-socket", path])
    first.signal(SIGKILL)
    #expect(first.waitForExit(within: 5) == 128 + SIGKILL)
    #expect(FileManager.default.fileExists(atPath: path))
    try withServer(dockfile("echo"), arguments: ["--unix-socket", path]) { server throws in
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func everyLineIsJSONWhereThatIsAsked() throws {
    let arguments = ["--host", "127.0.0.1", "--log-format", "json"]
    try withServer(dockfile("echo"), arguments: arguments) { server throws in
      #expect(try server.get("/health").status == 200)
      #expect(try !server.logLines().isEmpty)
      let start = try lines(of: server.output)
      #expect(start.count == 2)
      #expect(start.first?["message"]?.string?.contains("http://127.0.0.1:\(server.port)") == true)
      #expect(start.last?["message"]?.string?.hasPrefix("try: curl ") == true)
      #expect(start.allSatisfy { $0["level"] == "notice" && $0["logger"] == "dockrion" })
    }
  }

  @Test(arguments: [
    ("agent: [", []), ("agent: {name: x, handler: nobody}", ["--port", "0"]),
    ("agent: {name: x, handler: echo}", ["--port", "70000"]),
    ("agent: {name: x, handler: echo}", ["--prot", "1"]),
    ("agent: {name: x, handler: echo}\nexpose: {port: 0, hst: a}", []),
  ])
  func startErrorsAreJSONWhereThatIsAsked(_ text: String, _ arguments: [String]) throws {
    for form in [["--log-format", "json"], ["--log-format=json"]] {
      let start = try failedStart(text, arguments: arguments + form)
      #expect(start.code == 1 || start.code == 2)
      let said = try lines(of: start.message)
      #expect(said.contains { $0["level"] == "critical" && $0["message"]?.string?.isEmpty == false })
    }
  }

  private func expectOneLine(
    _ message: String, with parts: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(message.split(separator: "\n").count == 1, "\(message)", sourceLocation: sourceLocation)
    for part in parts { #expect(message.contains(part), "\(message)", sourceLocation: sourceLocation) }
  }
}
