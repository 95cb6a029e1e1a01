import DockrionCore
import Foundation
import Testing

struct ValidateTests {
  private static let broken = """
    agent: {name: "a b"}
    expose:
      port: 99999
      hots: x
    streaming:
      events:
        allowed: chatty
        heartbeat_interval: 0

    """

  @Test func reportsEverythingWithItsPlace() throws {
    let directory = try TemporaryDirectory(dockfile: Self.broken)
    let result = try dockrion("validate", in: directory)
    #expect(result.code == 1)
    #expect(result.out.isEmpty)
    let lines = result.err.split(separator: "\n")
    #expect(lines.count == 5, "\(result.err)")
    for start in [
      "Dockfile.yaml:1:15: error: agent.name: ",
      "Dockfile.yaml:3:9: error: expose.port: 99999 is out of range",
      "Dockfile.yaml:7:14: error: streaming.events.allowed: ",
      "Dockfile.yaml:8:25: error: streaming.events.heartbeat_interval: 0 is out of range (1…300 seconds)",
      "Dockfile.yaml: 4 errors",
    ] {
      #expect(lines.contains { $0.hasPrefix(start) }, "\(start) in \(result.err)")
    }
  }

  @Test func reportsTheSameAsJSON() throws {
    let directory = try TemporaryDirectory(dockfile: Self.broken)
    let result = try dockrion("validate", "--format", "json", in: directory)
    #expect(result.code == 1)
    #expect(result.err.isEmpty)
    let report = try JSONObject(parsing: result.out)
    #expect(report["valid"] == false)
    let errors = try #require(report["errors"]?.array)
    #expect(errors.map { $0.object?["line"]?.int } == [1, 3, 7, 8])
    #expect(errors.first?.object?["field"] == "agent.name")
    #expect(errors.first?.object?["column"] == 15)
  }

  @Test func summarizesWhatWouldBeServed() throws {
    let directory = try TemporaryDirectory(
      dockfile: """
        agent: {name: bot, handler: echo}
        expose: {rest: false, port: 9000, hots: x}
        streaming: {events: {allowed: [token, custom:a]}}
        auth: {mode: api_key}

        """)
    let result = try dockrion("validate", in: directory)
    #expect(result.code == 0)
    #expect(
      result.err.contains("Dockfile.yaml:2:35: warning: expose.hots: this key is not known; did you mean"))
    for line in [
      "Dockfile.yaml is valid", "  handler    echo (built in)", "  listens    http://0.0.0.0:9000",
      "  serves     POST /invoke/stream, /runs", "  events     token, custom:a",
    ] {
      #expect(result.out.contains(line + "\n"), "\(line) in \(result.out)")
    }
    let json = try dockrion("validate", "--format", "json", in: directory)
    #expect(try JSONObject(parsing: json.out)["warnings"]?.array?.count == 1)
    let quiet = try dockrion("validate", "-q", in: directory)
    #expect(quiet.code == 0 && quiet.out.isEmpty && quiet.err.isEmpty)
  }

  @Test func saysThatAFileIsMissing() throws {
    let directory = try TemporaryDirectory()
    let result = try dockrion("validate", "nowhere.yaml", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains("nowhere.yaml: error: there is no such file"))
  }

  @Test func coloursOnlyATerminalThatWantsThem() throws {
    let directory = try TemporaryDirectory(dockfile: Self.broken)
    #expect(!(try dockrion("validate", in: directory)).err.contains("\u{1B}"))
    for (environment, isColoured) in [([:], true), (["NO_COLOR": "1"], false), (["TERM": "dumb"], false)] {
      let terminal = try PseudoTerminal()
      let command = try Command(["validate"], in: directory, environment: environment, terminal: terminal)
      try terminal.wait(for: "4 errors")
      #expect(try command.finish().code == 1)
      #expect(terminal.shown.contains("\u{1B}[31m") == isColoured, "\(environment)")
    }
  }
}
