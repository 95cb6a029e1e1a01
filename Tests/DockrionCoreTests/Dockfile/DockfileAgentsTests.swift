import Testing

@testable import DockrionCore

/// `agents`, in place of `agent`: what each has of its own, and what is wrong with a list.
@Suite struct DockfileAgentsTests {
  private func warnings(_ yaml: String) throws -> [String] { try read(yaml).warnings.map(\.description) }

  // MARK: What is read

  @Test func theFirstIsTheDefaultUnlessOneSaysSo() throws {
    let plain = try read("agents: [{name: a}, {name: b}]")
    #expect(plain.agents.map(\.name) == ["a", "b"] && plain.hasAgentList)
    #expect(plain.agent.name == "a" && plain.defaultAgentIndex == 0)
    let chosen = try read("agents:\n  - name: a\n    default: false\n  - {name: b, default: yes}\n")
    #expect(chosen.agent.name == "b" && chosen.defaultAgentIndex == 1 && chosen.warnings.isEmpty)
  }

  @Test func aSingleAgentIsNoList() throws {
    let dockfile = try read("agent: {name: a}")
    #expect(dockfile.agents.map(\.name) == ["a"] && !dockfile.hasAgentList)
  }

  @Test func eachHasItsOwnOverTheFiles() throws {
    let dockfile = try read(
      """
      agents:
        - name: plain
        - name: own
          handler: h
          framework: custom
          description: d
          io_schema: {input: {required: [q]}, output: {type: object}}
          streaming: {events: {allowed: chat}}
          runtime: {max_concurrent_runs: 50}
          metadata: {team: own, more: 1}
      io_schema: {input: {required: [text]}, output: {required: [a]}}
      streaming: {events: {allowed: minimal}}
      runtime: {max_concurrent_runs: 70}
      metadata: {team: all, site: x}
      """)
    #expect(dockfile.warnings.isEmpty)
    let (plain, own) = (dockfile.agents[0], dockfile.agents[1])
    #expect(own.lookupName == "h" && own.framework == "custom" && own.description == "d")
    #expect(plain.maxConcurrentRuns == nil && own.maxConcurrentRuns == 50)
    #expect(dockfile.inputSchema(of: plain)?.document == ["required": ["text"]])
    #expect(dockfile.inputSchema(of: own)?.document == ["required": ["q"]])
    #expect(dockfile.filter(of: plain) == dockfile.streaming.filter)
    #expect(dockfile.filter(of: own).passes(.token) && !dockfile.filter(of: plain).passes(.token))
    #expect(plain.outputSchema == nil && own.outputSchema == ["type": "object"])
    #expect(dockfile.metadata(of: plain) == ["team": "all", "site": "x"])
    #expect(dockfile.metadata(of: own) == ["team": "own", "site": "x", "more": 1])
  }

  @Test func nullIsTheSameAsAbsent() throws {
    let dockfile = try read(
      "agents: [{name: a, default: ~, io_schema: , streaming: {events: }, runtime: ~, metadata: }]\n"
        + "streaming: {events: {allowed: chat}}")
    #expect(dockfile.warnings.isEmpty && dockfile.agent.filter == nil && dockfile.agent.metadata.isEmpty)
  }

  // MARK: Errors

  @Test func oneOfTheTwoKeysStandsThere() {
    #expect(
      errors("agent: {name: a}\nagents: [{name: b}]")
        == ["D:2:9: agents: agent stands there too, at line 1; keep one of them"])
    #expect(
      errors("agents: [{name: b}]\nagent:")
        == ["D:1:9: agents: agent stands there too, at line 2; keep one of them"])
    #expect(errors("version: 1.0") == ["D: agent.name: the agent's name is missing"])
  }

  @Test func aListOfAgentsHasOne() {
    #expect(
      errors("agents: []") == ["D:1:9: agents: an empty list stands where a list of agents is needed"])
    #expect(
      errors("agents: {name: a}") == ["D:1:9: agents: a mapping stands where a list of agents is needed"])
    #expect(errors("agents: bot") == ["D:1:9: agents: \"bot\" stands where a list of agents is needed"])
    #expect(errors("agents:").map { $0.hasSuffix("stands where a list of agents is needed") } == [true])
  }

  @Test func eachIsAMappingWithAName() {
    #expect(
      errors("agents:\n  - name: a\n  - handler: b\n")
        == ["D:3:5: agents[1].name: the agent's name is missing"])
    #expect(errors("agents: [a]") == ["D:1:10: agents[0]: \"a\" stands where a mapping is needed"])
    #expect(
      errors("agents: [~]").map { $0.hasSuffix("agents[0].name: the agent's name is missing") } == [true])
    #expect(
      errors("agents:\n  - name: a b\n").map { $0.hasPrefix("D:2:11: agents[0].name: \"a b\" is not a name") }
        == [true])
  }

  @Test func eachHasANameOfItsOwn() {
    #expect(
      errors("agents:\n  - name: a\n  - name: b\n  - handler: h\n    name: a\n  - name: b\n") == [
        "D:5:11: agents[2].name: \"a\" is the name of agents[0] already; each needs one of its own",
        "D:6:11: agents[3].name: \"b\" is the name of agents[1] already; each needs one of its own",
      ])
  }

  @Test func oneIsTheDefault() {
    #expect(
      errors("agents:\n  - {name: a}\n  - {name: b, default: true}\n  - {name: c, default: true}\n")
        == ["D:4:24: agents[2].default: agents[1] is the default already; one can be"])
    #expect(
      errors("agents: [{name: a, default: 1}]")
        == ["D:1:29: agents[0].default: 1 is neither true nor false"])
  }

  @Test func theTypesOfItsOwnAreChecked() {
    #expect(
      errors(
        """
        agents:
          - name: a
            handler: [h]
            io_schema: []
            streaming: {events: 5}
            runtime: {max_concurrent_runs: many}
            metadata: 7
          - name: b
            io_schema: {input: 1, output: x}
            streaming: {events: {allowed: chatty}}
            runtime: {max_concurrent_runs: 0}
          - name: c
            io_schema: {input: {required: 5}}
            runtime: {max_concurrent_runs: 1000001}
        """
      ).map { String($0.prefix { $0 != " " }) + String($0.split(separator: " ")[1]) } == [
        "D:3:14:agents[0].handler:", "D:4:16:agents[0].io_schema:", "D:5:25:agents[0].streaming.events:",
        "D:6:36:agents[0].runtime.max_concurrent_runs:", "D:7:15:agents[0].metadata:",
        "D:9:24:agents[1].io_schema.input:", "D:9:35:agents[1].io_schema.output:",
        "D:10:35:agents[1].streaming.events.allowed:", "D:11:36:agents[1].runtime.max_concurrent_runs:",
        "D:13:35:agents[2].io_schema.input.required:", "D:14:36:agents[2].runtime.max_concurrent_runs:",
      ])
    #expect(
      errors("agents: [{name: a, runtime: {max_concurrent_runs: 0}}]")
        == ["D:1:51: agents[0].runtime.max_concurrent_runs: 0 is out of range (1…1000000)"])
  }

  // MARK: Warnings

  @Test func anUnknownKeyIsNamedWithItsNeighbour() throws {
    #expect(
      try warnings(
        "agents:\n  - {name: a, handlr: x, runtime: {max_concurent_runs: 5}, streaming: {events: {alowed: chat}}}"
      )
        == [
          "D:2:15: agents[0].handlr: this key is not known; did you mean handler?",
          "D:2:36: agents[0].runtime.max_concurent_runs: this key is not known; did you mean max_concurrent_runs?",
          "D:2:81: agents[0].streaming.events.alowed: this key is not known; did you mean allowed?",
        ])
    #expect(
      try warnings("agentz: []\nagent: {name: a}").map {
        $0.hasSuffix("did you mean agents?") || $0.hasSuffix("did you mean agent?")
      }
        == [true])
  }

  @Test func whatOnlyTheFileHasIsSaidOfAnAgents() throws {
    func line(_ place: String, _ field: String, _ ofAll: String) -> String {
      "D:\(place): agents[0].\(field): an agent has none of its own, so this has no effect; "
        + "\(ofAll) of the file holds for all"
    }
    #expect(
      try warnings(
        """
        agents:
          - name: a
            streaming: {events: {heartbeat_interval: 5, max_run_duration: 9}, backend: redis}
            runtime: {max_connections: 5}
            expose: {port: 80}
            auth: {mode: none}
        """)
        == [
          line("3:26", "streaming.events.heartbeat_interval", "streaming.events.heartbeat_interval"),
          line("3:49", "streaming.events.max_run_duration", "streaming.events.max_run_duration"),
          line("3:71", "streaming.backend", "streaming.backend"),
          line("4:15", "runtime.max_connections", "runtime.max_connections"),
          line("5:5", "expose", "expose"), line("6:5", "auth", "auth"),
        ])
  }

  @Test func aSchemaOfAnAgentsOwnWarnsWhereItStands() throws {
    #expect(
      try warnings("agents:\n  - name: a\n    io_schema: {input: {if: {}}, strict: true}\n").sorted() == [
        "D:3:29: agents[0].io_schema.input.if: this keyword is not enforced",
        "D:3:34: agents[0].io_schema.strict: this key has no effect here",
      ])
  }

  // MARK: Against a program

  @Test func anUnregisteredNameIsFoundWhereItStands() throws {
    let dockfile = try read(
      "agents:\n  - name: a\n    handler: echo\n  - name: b\n    handler: ecko\n  - name: c\n")
    let named = dockfile.unregistered(dockfile.agents[1], known: ["echo"])
    #expect(named.field == "agents[1].handler" && (named.line, named.column) == (5, 14))
    #expect(
      named.description.hasPrefix(
        "D:5:14: agents[1].handler: \"ecko\" is not registered; this program has: echo; did you mean echo?"))
    let bare = dockfile.unregistered(dockfile.agents[2], known: ["echo"])
    #expect(bare.field == "agents[2].name" && (bare.line, bare.column) == (6, 11))
  }

  @Test func anUnknownNameListsThoseThatThereAre() throws {
    let dockfile = try read("agents: [{name: support}, {name: search}]")
    #expect(try dockfile.agent(named: "search").name == "search")
    #expect(try dockfile.agent(named: nil).name == "support")
    let error = #expect(throws: DockfileError.self) { try dockfile.agent(named: "serach") }
    #expect(
      error?.description
        == "D: agents: there is no agent \"serach\"; there is support, search; did you mean search?")
  }

  @Test func whatAProgramMakesIsCheckedAsWell() throws {
    var dockfile = try read("agents: [{name: a}, {name: b}]")
    dockfile.agents[1].name = "a"
    dockfile.agents[0].maxConcurrentRuns = 0
    let error = #expect(throws: DockfileError.self) { try dockfile.checkRanges() }
    #expect(
      error?.issues.map(\.description) == [
        "D: agents[0].runtime.max_concurrent_runs: 0 is out of range (1…1000000)",
        "D: agents[1].name: \"a\" is the name of another one; each needs one of its own",
      ])
    dockfile.agents = []
    let empty = #expect(throws: DockfileError.self) { try dockfile.checkRanges() }
    #expect(empty?.issues.map(\.description) == ["D: agents: there is none"])
  }
}
