// What agents in Python have besides.
extension DockfileReader {
  static let pythonKeys = [
    "executable", "processes", "threads", "max_concurrent_runs", "max_runs", "max_memory",
    "cancel_grace_seconds",
    "import_timeout_seconds", "preload", "event_loop", "env",
  ]

  /// `python` in `runtime`, of the file or of an agent.
  ///
  /// - Parameter defaults: what holds for keys that are absent.
  func python(in runtime: ConfigSection, over defaults: Dockfile.Python) -> Dockfile.Python {
    let section = runtime.section("python", known: Self.pythonKeys)
    var python = defaults
    python.executable = section.word("executable") ?? python.executable
    python.processes = section.optionalInt("processes", 1...256) ?? python.processes
    python.threads = section.int("threads", 1...1000, default: python.threads)
    python.maxConcurrentRuns = section.int(
      "max_concurrent_runs", 1...100_000, default: python.maxConcurrentRuns)
    python.maxRuns = section.int("max_runs", 0...1_000_000_000, default: python.maxRuns)
    python.maxMemoryBytes = section.bytes("max_memory", 0...(1 << 40), default: python.maxMemoryBytes)
    python.cancelGraceSeconds = section.seconds(
      "cancel_grace_seconds", 1...3600, default: python.cancelGraceSeconds)
    python.importTimeoutSeconds = section.seconds(
      "import_timeout_seconds", 1...3600, default: python.importTimeoutSeconds)
    python.preload = choice("preload", in: section, default: python.preload)
    python.eventLoop = choice("event_loop", in: section, default: python.eventLoop)
    for (name, value) in environment(in: section) { python.environment[name] = value }
    return python
  }

  private func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ key: String, in section: ConfigSection, default fallback: Choice
  ) -> Choice {
    guard let node = section.given(key) else { return fallback }
    let word = node.flag.map { $0 ? "true" : "false" } ?? node.text ?? ""
    if let choice = Choice(rawValue: word) { return choice }
    let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    section.error(key, "\(node.shown) is none of \(words)")
    return fallback
  }

  private func environment(in section: ConfigSection) -> [String: String] {
    guard let node = section.given("env") else { return [:] }
    guard case .mapping(let entries) = node.content else {
      section.error("env", "\(node.shown) stands where a mapping of variables is needed")
      return [:]
    }
    var variables: [String: String] = [:]
    for entry in entries where !entry.value.isBroken {
      let field = joined(section.path("env"), entry.key)
      guard isVariableName(entry.key) else {
        issues.error(field, at: entry.place, "\(quoted(entry.key)) is no name of a variable")
        continue
      }
      guard let text = entry.value.isNull ? "" : entry.value.text, !text.utf8.contains(0) else {
        issues.error(field, at: entry.value.place, "\(entry.value.shown) stands where text is needed")
        continue
      }
      variables[entry.key] = text
    }
    return variables
  }

  /// `secrets`: the required and the optional ones.
  func secrets() -> [Dockfile.Secret] {
    let section = top.section("secrets", known: ["required", "optional"])
    return secrets("required", in: section) + secrets("optional", in: section)
  }

  private func secrets(_ key: String, in section: ConfigSection) -> [Dockfile.Secret] {
    guard let node = section.given(key) else { return [] }
    guard case .sequence(let elements) = node.content else {
      section.error(key, "\(node.shown) stands where a list is needed")
      return []
    }
    return elements.enumerated().compactMap { index, element in
      let entry = ConfigSection(
        element, field: "\(section.path(key))[\(index)]", known: ["name", "description", "default"],
        issues: issues)
      guard let name = entry.word("name") else {
        if entry.given("name") == nil, !element.isBroken {
          issues.error(entry.path("name"), at: element.place, "the variable's name is missing")
        }
        return nil
      }
      guard isVariableName(name), name == name.uppercased() else {
        entry.error("name", "\(quoted(name)) is no name of a secret; use capitals, digits and \"_\"")
        return nil
      }
      return Dockfile.Secret(
        name: name, isRequired: key == "required", description: entry.text("description"),
        fallback: entry.text("default"))
    }
  }

  /// `arguments`, of which the server looks at one key; the others are for building images.
  func runSeconds() -> Int? {
    top.section("arguments", known: ["timeout_sec", "dependencies", "extra", "requirements_file"])
      .optionalInt(
        "timeout_sec", 1...86_400, " seconds")
  }

  /// Reports what keeps an agent from being one in Python, where it looks like one.
  func checkPython(_ agent: inout Dockfile.Agent, in section: ConfigSection) {
    guard agent.isPython else { return }
    let key = agent.lookupKey
    if !Self.isPythonTarget(agent.lookupName) {
      section.error(
        key, "\(quoted(agent.lookupName)) names nothing in Python; module.path:name is needed")
    }
    let framework = section.given("framework")?.text
    if framework == "swift" {
      section.error(
        "framework",
        "swift, and \(key) \(quoted(agent.lookupName)) is a name in Python; leave framework out, or name an agent "
          + "of the program without a colon")
    } else if key == "entrypoint", !Dockfile.Agent.pythonFrameworks.contains(framework ?? "") {
      let words = "langgraph, langchain or custom"
      section.error(
        "framework",
        framework.map { "\(quoted($0)) makes nothing of an entrypoint; use \(words)" }
          ?? "missing; with an entrypoint it is \(words)")
    }
    if framework == nil { agent.framework = "custom" }
  }

  /// `^[\w.]+:\w+$`
  private static func isPythonTarget(_ text: String) -> Bool {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else { return false }
    func isWord(_ character: Character) -> Bool {
      character.isLetter || character.isNumber || character == "_"
    }
    return parts[0].allSatisfy { isWord($0) || $0 == "." } && parts[1].allSatisfy(isWord)
  }
}
