extension Dockfile {
  /// `runtime.python`: the processes that run a Python agent.
  public struct Python: Sendable, Equatable {
    /// Whether the agent is imported once, before its processes are forked.
    public enum Preload: String, Sendable, CaseIterable {
      /// Unless the import leaves a thread or an open socket.
      case auto
      case always = "true"
      case never = "false"
    }

    /// What asynchronous agents run on.
    public enum EventLoop: String, Sendable, CaseIterable {
      /// uvloop where it is installed.
      case auto
      case asyncio
    }

    /// The interpreter, a path from the Dockfile's folder on or a name in `PATH`; nil looks for `.venv/bin/python` there,
    /// `$VIRTUAL_ENV/bin/python` and `python3`.
    public var executable: String?
    /// 1…256; nil is the number of cores, and 1 where a graph keeps its threads in memory.
    public var processes: Int?
    /// Synchronous handlers at once in a process, 1…1,000.
    public var threads = 32
    /// Runs at once in a process, 1…100,000.
    public var maxConcurrentRuns = 1000
    /// Runs after which a process is replaced, 0…1,000,000,000; 0 for never.
    public var maxRuns = 0
    /// Bytes of a process's memory above which it is replaced, 0…1 TiB; 0 for none. At one and a half times as
    /// many it is killed.
    public var maxMemoryBytes = 0
    /// Seconds that a cancelled run gets to end, 1…3,600; after them its process is replaced.
    public var cancelGraceSeconds = 10
    /// Seconds in which a process must have imported the agent, 1…3,600.
    public var importTimeoutSeconds = 60
    public var preload = Preload.auto
    public var eventLoop = EventLoop.auto
    /// Added to the environment.
    public var environment: [String: String] = [:]

    public init() {}
  }

  /// `secrets`: a variable that agents need or may use.
  public struct Secret: Sendable, Equatable {
    public var name: String
    public var isRequired: Bool
    /// What it is for, in messages.
    public var description: String?
    /// What Python agents find where the environment has nothing.
    public var fallback: String?

    public init(name: String, isRequired: Bool, description: String? = nil, fallback: String? = nil) {
      (self.name, self.isRequired, self.description, self.fallback) = (
        name, isRequired, description, fallback
      )
    }
  }

  /// What is said where the environment lacks required secrets: one for each.
  package func missingSecrets(in environment: [String: String]) -> [DockfileIssue] {
    secrets.filter { $0.isRequired && $0.fallback == nil && (environment[$0.name] ?? "").isEmpty }.map {
      secret in
      let use = secret.description.map { " (\($0))" } ?? ""
      return DockfileIssue(
        path: path, field: "secrets.required",
        message: "the environment variable \(secret.name)\(use) is not set or empty; export \(secret.name)=…"
          + " before the start")
    }
  }

  /// - Throws: `DockfileError` with every required secret that the environment lacks.
  package func checkSecrets(in environment: [String: String]) throws(DockfileError) {
    let missing = missingSecrets(in: environment)
    if !missing.isEmpty { throw DockfileError(issues: missing) }
  }
}

extension Dockfile.Agent {
  /// True for an agent in Python: its `handler`, or else its `entrypoint`, is `module.path:name`.
  public var isPython: Bool { (handler ?? entrypoint)?.contains(":") ?? false }

  /// The framework as clients see it.
  package var shownFramework: String { isPython && framework == "swift" ? "custom" : framework }

  /// What an entrypoint can be made with.
  static let pythonFrameworks = ["langgraph", "langchain", "custom"]
}
