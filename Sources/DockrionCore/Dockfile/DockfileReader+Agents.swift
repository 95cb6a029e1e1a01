// `agent`, or `agents` with what each has of its own.
extension DockfileReader {
  private static let agentKeys = ["name", "description", "handler", "entrypoint", "framework"]

  /// The agents, and whether they stand in a list.
  ///
  /// - Parameter python: the file's own `runtime.python`.
  func agents(_ python: Dockfile.Python) -> (agents: [Dockfile.Agent], isList: Bool) {
    guard let list = top["agents"] else {
      let section = top.section("agent", known: Self.agentKeys)
      return ([agent(in: section, top["agent"])], false)
    }
    if let single = top["agent"] {
      issues.error(
        "agents", at: list.place,
        "agent stands there too, at line \(single.place.line); keep one of them")
    }
    guard case .sequence(let elements) = list.content, !elements.isEmpty else {
      if !list.isBroken {
        let shown = if case .sequence = list.content { "an empty list" } else { list.shown }
        issues.error("agents", at: list.place, "\(shown) stands where a list of agents is needed")
      }
      return ([Dockfile.Agent(name: "")], true)
    }
    let agents = elements.enumerated().map { listed($0.element, field: "agents[\($0.offset)]", python) }
    check(agents, elements)
    return (agents, true)
  }

  private func check(_ agents: [Dockfile.Agent], _ elements: [ConfigNode]) {
    for (index, agent) in agents.enumerated() where !agent.name.isEmpty {
      guard let first = agents.firstIndex(where: { $0.name == agent.name }), first < index else { continue }
      issues.error(
        "agents[\(index)].name", at: elements[index].value(of: "name")?.place,
        "\(quoted(agent.name)) is the name of agents[\(first)] already; each needs one of its own")
    }
    let defaults = agents.indices.filter { agents[$0].isDefault }
    for index in defaults.dropFirst() {
      issues.error(
        "agents[\(index)].default", at: elements[index].value(of: "default")?.place,
        "agents[\(defaults[0])] is the default already; one can be")
    }
  }

  /// An entry of the list, with what it has over the file's own.
  private func listed(_ node: ConfigNode, field: String, _ python: Dockfile.Python) -> Dockfile.Agent {
    let section = ConfigSection(
      node, field: field,
      known: Self.agentKeys + ["default", "io_schema", "streaming", "runtime", "metadata"],
      ofFile: ["version", "expose", "auth"], issues: issues)
    var agent = agent(in: section, node)
    agent.isDefault = section.bool("default", default: false)
    (agent.inputSchema, agent.outputSchema) = schemas(in: section)
    let events = section.section("streaming", known: ["events"], ofFile: Self.streamingKeys)
      .section("events", known: ["allowed"], ofFile: Self.eventsKeys)
    if events["allowed"] != nil { agent.filter = filter(in: events) }
    let runtime = section.section(
      "runtime", known: ["max_concurrent_runs", "python"], ofFile: Self.runtimeKeys)
    if runtime["python"] != nil { agent.python = self.python(in: runtime, over: python) }
    agent.maxConcurrentRuns = runtime.optionalInt("max_concurrent_runs", 1...1_000_000)
    agent.metadata = metadata(in: section)
    return agent
  }

  private func agent(in section: ConfigSection, _ node: ConfigNode?) -> Dockfile.Agent {
    var agent = Dockfile.Agent(name: "")
    if let name = section.text("name") {
      agent.name = name
      if !name.isAgentName {
        section.error(
          "name",
          "\(quoted(name)) is not a name; use 1 to 128 letters, digits, \"_\", \".\" and \"-\", "
            + "a letter or digit first")
      }
    } else if node.map(\.isMappingOrNull) ?? true, section["name"].map(\.isNull) ?? true {
      issues.error(
        section.path("name"), at: section["name"]?.place ?? section.place, "the agent's name is missing")
    }
    agent.description = section.text("description")
    agent.handler = section.word("handler")
    agent.entrypoint = section.word("entrypoint")
    if let framework = section.word("framework") { agent.framework = framework }
    checkPython(&agent, in: section)
    return agent
  }
}
