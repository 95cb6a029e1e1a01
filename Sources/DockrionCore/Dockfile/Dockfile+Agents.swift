extension Dockfile {
  /// An agent that is served.
  public struct Agent: Sendable {
    /// Its name, as paths, `started` events and `/info` show it.
    public var name: String
    public var description: String?
    /// `module.path:function` in Python, or the name under which the agent is registered; where absent, `name` is looked
    /// up.
    public var handler: String?
    /// `module.path:name` in Python, made as `framework` says; without a colon it is looked up like `handler` when that is
    /// absent.
    public var entrypoint: String?
    /// A label: `swift` unless the file says otherwise.
    public var framework = "swift"
    /// What its payloads must look like, in place of the file's `io_schema.input`.
    public var inputSchema: InputSchema?
    /// The same for `io_schema.output`.
    public var outputSchema: JSONValue?
    /// Which of its events are emitted, in place of the file's `streaming.events.allowed`.
    public var filter: EventsFilter?
    /// How many of it may execute at once, 1…1,000,000, besides the file's own bound on all; nil for no other.
    public var maxConcurrentRuns: Int?
    /// Over the file's `runtime.python`, key by key.
    public var python: Python?
    /// Over the file's `metadata`, key by key.
    public var metadata: JSONObject = [:]
    /// True for the one whose routes have no prefix.
    public var isDefault = false

    public init(name: String, description: String? = nil, handler: String? = nil) {
      (self.name, self.description, self.handler) = (name, description, handler)
    }

    /// The key that has that name.
    var lookupKey: String { handler != nil ? "handler" : entrypoint != nil ? "entrypoint" : "name" }

    /// The name that is looked up among the registered agents.
    public var lookupName: String { handler ?? entrypoint ?? name }
  }

  /// The place in `agents` of the one whose routes have no prefix: the first, unless one says that it is.
  public var defaultAgentIndex: Int { agents.firstIndex(where: \.isDefault) ?? 0 }

  /// The agent whose routes have no prefix.
  public var agent: Agent {
    get { agents[defaultAgentIndex] }
    set { agents[defaultAgentIndex] = newValue }
  }

  /// What an agent's payloads must look like, as far as the file says.
  public func inputSchema(of agent: Agent) -> InputSchema? { agent.inputSchema ?? inputSchema }

  /// Which of an agent's events are emitted.
  public func filter(of agent: Agent) -> EventsFilter { agent.filter ?? streaming.filter }

  /// An agent's metadata: its own over the file's.
  public func metadata(of agent: Agent) -> JSONObject {
    var merged = metadata
    for (name, value) in agent.metadata { merged[name] = value }
    return merged
  }

  /// The agent of that name.
  ///
  /// - Parameter name: nil for the default one.
  /// - Throws: `DockfileError` that lists the names there are.
  package func agent(named name: String?) throws(DockfileError) -> Agent {
    guard let name else { return agent }
    if let agent = agents.first(where: { $0.name == name }) { return agent }
    let names = agents.map(\.name)
    let near = nearestKey(to: name, among: names).map { "; did you mean \($0)?" } ?? ""
    throw DockfileError(issues: [
      DockfileIssue(
        path: path, field: hasAgentList ? "agents" : "agent",
        message: "there is no agent \(quoted(name)); there is \(names.joined(separator: ", "))\(near)")
    ])
  }
}

extension String {
  /// True for 1 to 128 letters, digits, `_`, `.` and `-`, a letter or digit first: what agents are named.
  package var isAgentName: Bool {
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
    guard let first = utf8.first, isLetterOrDigit(first), utf8.count <= 128 else { return false }
    return utf8.allSatisfy { isLetterOrDigit($0) || "_.-".utf8.contains($0) }
  }
}
