import DockrionCore
import Testing

/// What a Dockfile says of agents in Python.
struct DockfilePythonTests {
  private func read(_ text: String) throws -> Dockfile { try Dockfile.parse(text, environment: [:]) }

  private func issues(_ text: String) -> [String] {
    do {
      _ = try Dockfile.parse(text, path: "D", environment: [:])
      return []
    } catch { return error.issues.map(\.description) }
  }

  @Test func aNameWithAColonIsInPython() throws {
    let handler = try read("agent: {name: n, handler: \"app.service:run\"}").agent
    #expect(handler.isPython && handler.framework == "custom")
    let labelled = try read("agent: {name: n, handler: \"app.service:run\", framework: langgraph}").agent
    #expect(labelled.isPython && labelled.framework == "langgraph")
    let graph = try read("agent: {name: n, entrypoint: \"app.graph:build\", framework: langgraph}").agent
    #expect(graph.isPython && graph.lookupName == "app.graph:build")
    #expect(try !read("agent: {name: n, handler: echo}").agent.isPython)
    #expect(try !read("agent: {name: n, handler: echo, entrypoint: \"a:b\"}").agent.isPython)
  }

  @Test(arguments: [
    (
      "agent: {name: n, handler: \"a:b\", framework: swift}",
      "D:1:45: agent.framework: swift, and handler \"a:b\" is a name in Python; leave framework out, or name an agent of "
        + "the program without a colon"
    ),
    (
      "agent: {name: n, entrypoint: \"a:b\"}",
      "D:1:8: agent.framework: missing; with an entrypoint it is langgraph, langchain or custom"
    ),
    (
      "agent: {name: n, entrypoint: \"a:b\", framework: crewai}",
      "D:1:48: agent.framework: \"crewai\" makes nothing of an entrypoint; use langgraph, langchain or custom"
    ),
    (
      "agent: {name: n, handler: \"a:b:c\"}",
      "D:1:27: agent.handler: \"a:b:c\" names nothing in Python; module.path:name is needed"
    ),
    (
      "agent: {name: n, handler: \"a-b:c\"}",
      "D:1:27: agent.handler: \"a-b:c\" names nothing in Python; module.path:name is needed"
    ),
    (
      "agent: {name: n}\nruntime: {python: {processes: 0}}",
      "D:2:31: runtime.python.processes: 0 is out of range (1…256)"
    ),
    (
      "agent: {name: n}\nruntime: {python: {preload: maybe}}",
      "D:2:29: runtime.python.preload: \"maybe\" is none of auto, true, false"
    ),
    (
      "agent: {name: n}\nruntime: {python: {event_loop: uvloop}}",
      "D:2:32: runtime.python.event_loop: \"uvloop\" is none of auto, asyncio"
    ),
    (
      "agent: {name: n}\nruntime: {python: {env: {1A: x}}}",
      "D:2:26: runtime.python.env.1A: \"1A\" is no name of a variable"
    ),
    (
      "agent: {name: n}\nruntime: {python: {env: {A: [1]}}}",
      "D:2:29: runtime.python.env.A: a list stands where text is needed"
    ),
    (
      "agent: {name: n}\nsecrets: {required: [{name: key}]}",
      "D:2:29: secrets.required[0].name: \"key\" is no name of a secret; use capitals, digits and \"_\""
    ),
    (
      "agent: {name: n}\nsecrets: {optional: [{}]}",
      "D:2:22: secrets.optional[0].name: the variable's name is missing"
    ),
    (
      "agent: {name: n}\narguments: {timeout_sec: 0}",
      "D:2:26: arguments.timeout_sec: 0 is out of range (1…86400 seconds)"
    ),
  ])
  func whatCannotBeIsNamed(_ text: String, _ issue: String) { #expect(issues(text) == [issue]) }

  @Test func theKeysOfThePythonSectionAreRead() throws {
    let python = try read(
      """
      agent: {name: n}
      runtime:
        python:
          executable: .venv/bin/python
          processes: 3
          threads: 5
          max_concurrent_runs: 7
          max_runs: 11
          max_memory: 512MiB
          cancel_grace_seconds: 13
          import_timeout_seconds: 17
          preload: false
          event_loop: asyncio
          env: {A: x, B: 2, C: }
      """
    ).runtime.python
    var expected = Dockfile.Python()
    (expected.executable, expected.processes, expected.threads) = (".venv/bin/python", 3, 5)
    (expected.maxConcurrentRuns, expected.maxRuns, expected.maxMemoryBytes) = (7, 11, 512 << 20)
    (expected.cancelGraceSeconds, expected.importTimeoutSeconds) = (13, 17)
    (expected.preload, expected.eventLoop) = (.never, .asyncio)
    expected.environment = ["A": "x", "B": "2", "C": ""]
    #expect(python == expected)
    #expect(try read("agent: {name: n}").runtime.python == Dockfile.Python())
    #expect(
      try read("agent: {name: n}\nruntime: {python: {preload: true}}").runtime.python.preload == .always)
  }

  @Test func anAgentOfAListHasItsOwnOverTheFiles() throws {
    let file = try read(
      """
      agents:
        - {name: a, handler: "m:a", runtime: {python: {processes: 1, env: {B: own}}}}
        - {name: b, handler: "m:b"}
      runtime: {python: {processes: 4, threads: 2, env: {A: all, B: all}}}
      """)
    let own = try #require(file.agents[0].python)
    #expect(own.processes == 1 && own.threads == 2 && own.environment == ["A": "all", "B": "own"])
    #expect(file.agents[1].python == nil && file.runtime.python.processes == 4)
  }

  @Test func timeoutSecHoldsWhereTheStreamingSectionIsSilent() throws {
    #expect(try read("agent: {name: n}\narguments: {timeout_sec: 30}").streaming.maxRunSeconds == 30)
    let both = "agent: {name: n}\narguments: {timeout_sec: 30}\nstreaming: {events: {max_run_duration: 60}}"
    #expect(try read(both).streaming.maxRunSeconds == 60)
  }

  @Test func requiredSecretsThatAreMissingOrEmptyAreAllNamed() throws {
    let file = try read(
      """
      agent: {name: n}
      secrets:
        required: [{name: ONE, description: for one}, {name: TWO}, {name: THREE}]
        optional: [{name: FOUR, default: four}]
      """)
    let missing = file.missingSecrets(in: ["THREE": "x", "TWO": ""]).map(\.message)
    #expect(
      missing == [
        "the environment variable ONE (for one) is not set or empty; export ONE=… before the start",
        "the environment variable TWO is not set or empty; export TWO=… before the start",
      ])
    #expect(file.secrets.last == Dockfile.Secret(name: "FOUR", isRequired: false, fallback: "four"))
  }
}
