/// What keeps a Dockfile that is valid from being served by this process.
extension Dockfile {
  /// What is said where no agent of that name is registered, in one line: what there is, and the way out.
  package func unregistered(_ agent: Agent, known: [String]) -> DockfileIssue {
    let name = agent.lookupName
    let near = nearestKey(to: name, among: known)
    let message =
      "\(quoted(name)) is not registered; this program has: \(known.sorted().joined(separator: ", "))"
      + (near.map { "; did you mean \($0)?" } ?? "")
      + "; an agent of your own is module.path:function in Python, or needs a program of your own that registers it: "
      + "dockrion init NAME --swift-package writes one"
    let index = agents.firstIndex { $0.name == agent.name } ?? 0
    return issue(
      "\(hasAgentList ? "agents[\(index)]" : "agent").\(agent.lookupKey)",
      places.agents.indices.contains(index) ? places.agents[index] : nil, message)
  }

  /// What is said where `auth` asks for keys and the environment has none; nil where that is well.
  package func missingKeys(in environment: [String: String]) -> DockfileIssue? {
    guard case .apiKey(let variable, _, _) = auth, Self.keys(environment[variable] ?? "").isEmpty
    else {
      return nil
    }
    return issue(
      "auth.api_keys", places.auth,
      "auth.mode is api_key, but the environment variable \(variable) holds no key; "
        + "export \(variable)=SOME-SECRET before the start")
  }

  /// The keys that a variable holds, with commas between them.
  package static func keys(_ text: String) -> [String] {
    text.split(separator: ",").map { key in
      String(key.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }.filter { !$0.isEmpty }
  }

  private func issue(_ field: String, _ place: ConfigPlace?, _ message: String) -> DockfileIssue {
    DockfileIssue(
      path: path, line: place?.line, column: place?.column, field: field, message: message)
  }
}
