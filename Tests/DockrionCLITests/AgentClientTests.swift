import DockrionCore
import Foundation
import Testing

/// Several agents, as the commands know them: `--agent`, and what `validate`, `doctor`, `test` and `init` say.
struct AgentClientTests {
  private static let two = """
    agents:
      - {name: support, handler: scripted}
      - name: search
        handler: echo
        framework: custom
        streaming: {events: {allowed: [token]}}
        runtime: {max_concurrent_runs: 5}
    runtime: {shutdown_grace_seconds: 0}

    """

  @Test func theClientsGoBelowTheAgentsPrefix() throws {
    let server = try RunningServer(Self.two)
    let directory = try TemporaryDirectory()
    func client(_ arguments: String...) throws -> Command.Result {
      try Command(arguments, in: directory, environment: ["DOCKRION_URL": server.url]).finish()
    }
    #expect(try client("invoke", "--agent", "search", "-p", #"{"text":"hi"}"#).out == "{\"text\":\"hi\"}\n")
    #expect(try client("invoke", "-p", #"{"output":{"a":1}}"#).out == "{\"a\":1}\n")
    let streamed = try client("invoke", "--agent", "search", "--stream", "-p", #"{"text":"hi"}"#)
    #expect(streamed.code == 0 && streamed.out.contains("\"hi\""))
    let started = try client(
      "invoke", "--agent", "search", "--run", "--run-id", "r1", "-p", #"{"text":"a b"}"#)
    #expect(started.code == 0 && started.err == "run r1\n", "\(started.err)")
    #expect(try client("invoke", "--run", "--run-id", "r2", "-p", #"{"tokens":1}"#).code == 0)
    #expect(try client("tail", "r1", "--agent", "search", "--from", "99").err.contains("completed"))
    let other = try client("tail", "r2", "--agent", "search")
    #expect(other.code == 1 && other.err.contains("404 NOT_FOUND: there is no run \"r2\""))
    #expect(try client("cancel", "r1", "--agent", "support").err.contains("404 NOT_FOUND"))
    #expect(try client("cancel", "r1", "--agent", "search").err.contains("409 RUN_FINISHED"))
    let all = try client("runs").out.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(
      all.map { [$0[0], $0[$0.count - 1]] } == [["RUN", "AGENT"], ["r2", "support"], ["r1", "search"]])
    let own = try client("runs", "--agent", "search").out.split(separator: "\n")
    #expect(own.count == 2 && own[0].hasSuffix("EVENTS") && own[1].hasPrefix("r1 "))
    let page = try client("runs", "--agent", "search", "--limit", "1")
    #expect(page.code == 0 && page.err.isEmpty)
  }

  @Test func anUnknownAgentIsAnsweredWithThoseThatThereAre() throws {
    let server = try RunningServer(Self.two)
    let directory = try TemporaryDirectory()
    for arguments in [["invoke", "-p", "{}"], ["runs"], ["tail", "r"], ["cancel", "r"]] {
      let result = try Command(arguments + ["--agent", "serach", "--url", server.url], in: directory).finish()
      #expect(result.code == 1)
      #expect(
        result.err
          == "dockrion: 404 NOT_FOUND: there is no agent \"serach\" here; there is support, search\n",
        "\(result.err)")
    }
    let wrong = try dockrion("runs", "--agent", "a/b", "--url", server.url, in: directory)
    #expect(wrong.code == 2 && wrong.err.contains("--agent: \"a/b\" is not a name"), "\(wrong.err)")
  }

  @Test func theNextPageIsOfTheSameAgent() throws {
    let server = try RunningServer(Self.two)
    let directory = try TemporaryDirectory()
    for _ in 0..<2 {
      let started = try dockrion(
        "invoke", "--run", "--agent", "search", "-p", #"{"text":"a"}"#, "--url", server.url, in: directory)
      #expect(started.code == 0)
    }
    let page = try dockrion("runs", "--agent", "search", "--limit", "1", "--url", server.url, in: directory)
    #expect(page.err.hasPrefix("more: dockrion runs --agent search --cursor "), "\(page.err)")
  }

  @Test func testRunsTheOneThatIsNamed() throws {
    let directory = try TemporaryDirectory(dockfile: Self.two)
    let search = try dockrion("test", "--agent", "search", "-p", #"{"text":"a b"}"#, in: directory)
    #expect(search.code == 0 && search.out.hasSuffix("{\"text\":\"a b\"}\n"))
    #expect(!search.out.contains("step") && search.out.contains("token"))
    #expect(try dockrion("test", "-p", #"{"tokens":1}"#, in: directory).out.hasSuffix("{\"tokens\":1}\n"))
    let unknown = try dockrion("test", "--agent", "serach", "-p", "{}", in: directory)
    #expect(unknown.code == 1)
    #expect(
      unknown.err.contains("there is no agent \"serach\"; there is support, search; did you mean search?"))
  }

  @Test func validateAndDoctorListThemAll() throws {
    let directory = try TemporaryDirectory(dockfile: Self.two)
    let valid = try dockrion("validate", in: directory)
    #expect(valid.code == 0)
    #expect(
      valid.out.contains(
        """
          agents     support (default): framework swift; handler scripted (built in)
                     search: framework custom; handler echo (built in); events token; at most 5 at once
        """), "\(valid.out)")
    #expect(valid.out.contains("each agent's below /agents/NAME"))
    let json = try JSONObject(parsing: dockrion("validate", "--format", "json", in: directory).out)
    #expect(json["summary"]?.object?["agents"]?.array?.count == 2)
    let text = Self.two.replacing("handler: echo", with: "handler: mine")
    try directory.write(text, to: "Dockfile.yaml")
    let doctor = try dockrion("doctor", in: directory)
    #expect(doctor.out.contains("support: scripted is built in"), "\(doctor.out)")
    #expect(doctor.out.contains("search: \"mine\" is not registered here"))
    #expect(doctor.out.contains("set agents[1].handler to one of echo, scripted"))
    let run = try dockrion("run", in: directory)
    #expect(run.code == 1)
    #expect(
      run.err.contains("Dockfile.yaml:4:14: agents[1].handler: \"mine\" is not registered"), "\(run.err)")
  }

  @Test func initWritesSeveral() throws {
    let directory = try TemporaryDirectory()
    let result = try dockrion("init", "support", "--agents", "search, third", in: directory)
    #expect(result.code == 0, "\(result.err)")
    let read = try Dockfile.parse(directory.read("Dockfile.yaml"), environment: [:])
    #expect(read.warnings.isEmpty)
    #expect(read.agents.map(\.name) == ["support", "search", "third"] && read.agent.name == "support")
    for (names, reason) in [
      ("search,support", "\"support\" stands there twice"), ("a,a", "\"a\" stands there twice"),
      ("a,,b", "--agents: "), ("a b", "is not a name"),
    ] {
      let refused = try dockrion("init", "support", "-f", "--agents", names, in: directory)
      #expect(refused.code == 2 && refused.err.contains(reason), "\(refused.err)")
    }
  }
}
