/// The configuration of one server, read from a `Dockfile.yaml`.
///
///     let dockfile = try Dockfile.load(path: "Dockfile.yaml")
///
/// Every value is in range once this exists; where the file is silent it holds the default that
/// `docs/dockfile.md` lists.
public struct Dockfile: Sendable {
  /// Which routes exist, and where.
  public struct Expose: Sendable {
    /// Serves `POST /invoke`.
    public var rest = true
    /// Serves `POST /invoke/stream`.
    public var streaming = true
    public var host = "0.0.0.0"
    /// 1…65,535; 0 is for tests and takes any free port.
    public var port = 8080
    /// The path of a Unix socket to listen on instead of TCP.
    public var unixSocket: String?
    /// Which origins a browser may call from; nil answers without CORS headers.
    public var cors: CORS?
    /// For which hosts requests are answered; for all by default.
    public var allowedHosts = AllowedHosts()
    /// Whose `X-Forwarded-For` is believed; nobody's by default.
    public var trustedProxies = TrustedProxies()

    public init() {}
  }

  /// `expose.cors`.
  public struct CORS: Sendable, Equatable {
    /// Exact origins such as `https://app.example.com`; `*` alone means any.
    public var origins: [String]

    public init(origins: [String]) { self.origins = origins }
  }

  public struct Streaming: Sendable {
    /// Serves `/runs…`.
    public var asyncRuns = true
    public var allowClientIDs = true
    public var filter = EventsFilter.everything
    /// Seconds of silence before a heartbeat, 1…300.
    public var heartbeatSeconds = 15
    /// Seconds an agent may run, 1…86,400.
    public var maxRunSeconds = 3600
    /// Seconds a subscription lasts when the client names none, 1…3,600.
    public var defaultTimeoutSeconds = 300
    /// 1…100,000.
    public var maxSubscribersPerRun = 1000
    /// Events a run keeps, 10…100,000.
    public var maxEventsPerRun = 10_000
    /// Seconds a finished run is kept, 60…604,800.
    public var retentionSeconds = 3600
    /// Bytes of all logs together, 1 MiB or more.
    public var maxLogBytes = 256 << 20
    /// Where runs are kept; nil keeps them in memory.
    public var redis: Redis?

    public init() {}
  }

  /// Where several servers keep their runs together.
  public struct Redis: Sendable, Equatable {
    public var url: RedisURL
    /// What the names of all keys begin with.
    public var keyPrefix = "dockrion"
    /// Connections for commands, 1…1,000; one more listens.
    public var connections = 10
    /// Seconds without a sign of life after which a server's runs are given up, 2…300.
    public var leaseSeconds = 10
    /// Seconds, 1…60.
    public var connectTimeoutSeconds = 5
    /// Seconds, 1…60.
    public var commandTimeoutSeconds = 5
    /// Bytes of one run's events that may wait for Redis, 64 KiB or more.
    public var maxPendingBytes = 16 << 20

    public init(url: RedisURL) { self.url = url }
  }

  public struct Runtime: Sendable {
    /// Agents that execute at once, 1…1,000,000.
    public var maxConcurrentRuns = 10_000
    /// Open client connections, 1…1,000,000.
    public var maxConnections = 16_384
    /// Threads that blocked agents may take in each of the two pools, 1…240; above 120 it is 120.
    public var workerThreads = 64
    /// Events that wait between an agent and the loop, 2…65,536; a power of two, rounded up.
    public var ringCapacity = 256
    /// Seconds a client may take nothing before it is closed, 1…3,600.
    public var stallTimeoutSeconds = 60
    /// Seconds that runs get to end after SIGTERM, 0…3,600.
    public var shutdownGraceSeconds = 10
    /// Bytes of a request's body, 1…1 GiB.
    public var maxBodyBytes = 1 << 20
    /// Seconds a client may take to send a request, 1…3,600.
    public var requestTimeoutSeconds = 30
    /// Seconds a connection may stay open between requests, 1…3,600.
    public var keepAliveSeconds = 75
    /// Bytes that may wait on all connections together, 32 MiB…1 TiB: of requests that are not whole, and of replies
    /// and events that clients have not taken. Beyond it the connections with most are closed.
    public var maxBufferedBytes = 256 << 20
    /// Sends clients the text of an agent's error that is no `AgentError`; otherwise only the log has it.
    public var exposeErrors = false
    /// The file that gets a line for each request, or `-` for standard output; nil writes none. No key of the file
    /// sets it.
    public var accessLog: String?
    /// Bytes of memory that the payloads of all agents that execute may take together, 1 MiB…1 TiB. Beyond it no agent
    /// is started.
    public var maxPayloadBytes = 512 << 20
    /// The processes of agents in Python.
    public var python = Python()

    public init() {}
  }

  /// Who may call `/invoke…` and `/runs…`.
  public enum Auth: Sendable, Equatable {
    case none
    /// Keys from the environment variable `envVar`, separated by commas.
    case apiKey(envVar: String, header: String, allowBearer: Bool)
  }

  struct Places: Sendable {
    /// Of each agent, where the name stands that is looked up.
    var agents: [ConfigPlace?] = []
    var auth: ConfigPlace?
  }

  /// The file's path as it was given, for messages.
  public var path: String
  /// The agents that are served, one at least.
  public var agents: [Agent]
  /// True where the file has `agents`: each then has its routes below `/agents/{name}` as well.
  public var hasAgentList = false
  /// What a payload must look like, from `io_schema.input`.
  public var inputSchema: InputSchema?
  /// `io_schema.output`, shown by `/schema` and not enforced.
  public var outputSchema: JSONValue?
  public var expose = Expose()
  public var streaming = Streaming()
  public var runtime = Runtime()
  public var auth = Auth.none
  /// `metadata` as it stands, shown by `/info`.
  public var metadata: JSONObject = [:]
  /// Variables that agents need, or may use.
  public var secrets: [Secret] = []
  /// Where keys stand that a message after the reading may be about; empty for what a program has made.
  var places = Places()
  /// What the reader would like to say to the person who wrote the file; none of it stops the server.
  public var warnings: [DockfileIssue] = []

  /// The configuration of a server that no file describes: the defaults, to be changed.
  ///
  ///     var dockfile = Dockfile(agent: Dockfile.Agent(name: "support-bot"))
  ///     dockfile.expose.port = 9000
  ///     dockfile.streaming.filter = .chat
  ///
  /// - Parameters:
  ///   - agent: what is served.
  ///   - path: what messages about the configuration begin with.
  public init(agent: Agent, path: String = "Dockfile") { self.init(path: path, agent: agent) }

  public init(path: String, agent: Agent) {
    self.path = path
    agents = [agent]
  }

  /// The configuration of a server for several agents, each with routes of its own below `/agents/{name}`.
  ///
  /// - Parameter agents: one at least. The one with `isDefault`, or else the first, has the routes without prefix.
  public init(agents: [Agent], path: String = "Dockfile") {
    precondition(!agents.isEmpty, "a Dockfile has one agent at least")
    self.path = path
    self.agents = agents
    hasAgentList = true
  }
}
