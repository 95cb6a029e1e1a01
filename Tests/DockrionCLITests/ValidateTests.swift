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
    #expect(lines.count == 6, "\(result.err)")
    for start in [
      "Dockfile.yaml:4:3: warning: expose.hots: this key is not known; did you mean host?",
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
    #expect(report["warnings"]?.array?.map { $0.object?["field"] } == ["expose.hots"])
    let quiet = try dockrion("validate", "--quiet", in: directory)
    #expect(quiet.err.split(separator: "\n").count == 4, "\(quiet.err)")
  }

  /// A misspelled key may be why a value is missing or wrong.
  @Test(arguments: ["text", "json"])
  func runShowsTheWarningsBesideTheErrors(format: String) throws {
    let directory = try TemporaryDirectory(dockfile: Self.broken)
    let result = try dockrion("run", "--log-format", format, in: directory)
    #expect(result.code == 1)
    let lines = result.err.split(separator: "\n")
    #expect(lines.count == 5, "\(result.err)")
    let warning = try #require(lines.first { $0.contains("expose.hots") })
    #expect(warning.contains("Dockfile.yaml:4:3: expose.hots: this key is not known; did you mean host?"))
    #expect(warning.contains("warning"))
    #expect(lines.last?.contains("expose.hots") == false, "what keeps it from starting stands last")
    if format == "json" { for line in lines { _ = try JSONObject(parsing: String(line)) } }
  }

  @Test func testShowsTheWarningsBesideTheErrors() throws {
    let directory = try TemporaryDirectory(dockfile: Self.broken)
    let result = try dockrion("test", "-p", "{}", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains("Dockfile.yaml:4:3: warning: expose.hots: "), "\(result.err)")
    #expect(result.err.contains("expose.port: 99999 is out of range"))
  }

  @Test func summarizesWhatWouldBeServed() throws {
    let directory = try TemporaryDirectory(
      dockfile: """
        agent: {name: bot, handler: echo}
        expose: {rest: false, port: 9000, hots: x}
        streaming: {events: {allowed: [token, custom:a]}}
        auth: {mode: api_key}

        """)
    let key = ["DOCKRION_API_KEY": "k"]
    let result = try dockrion("validate", in: directory, environment: key)
    #expect(result.code == 0)
    #expect(
      result.err.contains("Dockfile.yaml:2:35: warning: expose.hots: this key is not known; did you mean"))
    for line in [
      "Dockfile.yaml is valid", "  handler    echo (built in)", "  listens    http://0.0.0.0:9000",
      "  serves     POST /invoke/stream, /runs", "  events     token, custom:a",
    ] {
      #expect(result.out.contains(line + "\n"), "\(line) in \(result.out)")
    }
    let json = try dockrion("validate", "--format", "json", in: directory, environment: key)
    #expect(try JSONObject(parsing: json.out)["warnings"]?.array?.count == 1)
    let quiet = try dockrion("validate", "-q", in: directory, environment: key)
    #expect(quiet.code == 0 && quiet.out.isEmpty && quiet.err.isEmpty)
  }

  @Test(arguments: [
    ("auth: {mode: api_key}", "Dockfile.yaml:2:14: error: auth.api_keys: ", "DOCKRION_API_KEY"),
    (
      "auth: {mode: api_key, api_keys: {env_var: MY_KEYS}}",
      "Dockfile.yaml:2:43: error: auth.api_keys: ", "MY_KEYS"
    ),
  ])
  func keysThatTheEnvironmentDoesNotHoldAreAnError(section: String, start: String, variable: String)
    throws
  {
    let directory = try TemporaryDirectory(
      dockfile: "agent: {name: bot, handler: echo}\n\(section)\n")
    for value in ["", " , "] {
      let result = try dockrion("validate", in: directory, environment: [variable: value])
      #expect(result.code == 1)
      #expect(
        result.err.hasPrefix(
          start
            + "auth.mode is api_key, but the environment variable \(variable) holds no key; export \(variable)="
        ),
        "\(result.err)")
      let start = try dockrion("run", "--port", "0", in: directory, environment: [variable: value])
      #expect(
        start.code == 1 && start.err.contains("the environment variable \(variable) holds no key"))
    }
    #expect(try dockrion("validate", in: directory, environment: [variable: "a,b"]).code == 0)
  }

  @Test func textWithAColonIsToBeQuoted() throws {
    let directory = try TemporaryDirectory(
      dockfile: "agent: {name: bot}\nmetadata:\n  title: a: b: c\n")
    let result = try dockrion("validate", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains("Dockfile.yaml:3:"))
    #expect(result.err.contains("text with \": \" in it needs quotes"), "\(result.err)")
  }

  /// Line, key and the way out.
  @Test(arguments: [
    (
      "agent:\n  name: bot\n  handler: foo-bar\n",
      "Dockfile.yaml:3:12: agent.handler: \"foo-bar\" is not registered; this program has: echo, scripted; "
        + "an agent of your own is module.path:function in Python, or needs a program of your own that registers it: "
        + "dockrion init NAME --swift-package writes one"
    ),
    ("agent:\n  name: ecko\n", "Dockfile.yaml:2:9: agent.name: \"ecko\" is not registered"),
    ("agent: {name: ecko}\n", "did you mean echo?"),
    (
      "agent: {name: bot, entrypoint: \"foo.bar:main\"}\n",
      "Dockfile.yaml:1:8: agent.framework: missing; with an entrypoint it is langgraph, langchain or custom"
    ),
  ])
  func anAgentThatIsNotRegisteredIsExplained(dockfile: String, sentence: String) throws {
    let directory = try TemporaryDirectory(dockfile: dockfile)
    for command in [["run", "--port", "0"], ["test"]] {
      let result = try Command(command, in: directory).finish()
      #expect(result.code == 1)
      #expect(result.err.split(separator: "\n").count == 1)
      #expect(result.err.contains(sentence), "\(result.err)")
    }
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
    for (environment, isColoured) in [
      ([:], true), (["NO_COLOR": "1"], false), (["TERM": "dumb"], false),
    ] {
      let terminal = try PseudoTerminal()
      let command = try Command(["validate"], in: directory, environment: environment, terminal: terminal)
      try terminal.wait(for: "4 errors")
      #expect(try command.finish().code == 1)
      #expect(terminal.shown.contains("\u{1B}[31m") == isColoured, "\(environment)")
    }
  }
}
