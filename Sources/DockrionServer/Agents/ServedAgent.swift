import DockrionCore

/// One agent that the server serves: what the Dockfile says of it, and what runs it.
///
/// A run holds it; nobody reads the Dockfile at run time.
final class ServedAgent {
  let name: String
  let framework: String
  let description: String?
  /// Its place among the server's agents: its label in the metrics.
  let index: Int
  /// What payloads are checked against. An agent's own is its code, and asked once.
  let inputSchema: InputSchema?
  let outputSchema: JSONValue?
  let metadata: JSONObject
  /// Which of its events are emitted.
  let filter: EventsFilter
  /// True when the filter lets heartbeats through.
  let hasHeartbeats: Bool
  /// How many of it may execute at once.
  let runsMax: Int
  let host: any AgentHost
  /// The end of `/invoke`'s reply, up to the latency.
  let invokeTail: [UInt8]
  /// How many of it execute or are being admitted, as `AgentBoard` counts them.
  var running = 0

  /// - Parameter own: what the agent itself says that its payloads must look like.
  init(_ configured: Dockfile.Agent, _ dockfile: Dockfile, index: Int, own: InputSchema?, host: any AgentHost)
  {
    name = configured.name
    framework = configured.shownFramework
    description = configured.description
    self.index = index
    inputSchema = configured.inputSchema ?? dockfile.inputSchema ?? own
    outputSchema = configured.outputSchema ?? dockfile.outputSchema
    metadata = dockfile.metadata(of: configured)
    filter = dockfile.filter(of: configured)
    hasHeartbeats = filter.passes(.heartbeat)
    runsMax = configured.maxConcurrentRuns ?? dockfile.runtime.maxConcurrentRuns
    self.host = host
    var tail = ByteWriter()
    tail.append(",\"metadata\":{\"agent\":")
    tail.append(json: name)
    tail.append(",\"framework\":")
    tail.append(json: framework)
    tail.append(",\"latency_seconds\":")
    invokeTail = tail.array()
  }

  /// `started`, for what is over before a worker got to it: every stream begins with it.
  func startedRecord(_ encoder: EventEncoder) -> EventRecord {
    encoder.startedRecord(agentName: name, framework: framework)
  }
}
