import DockrionCore
import DockrionLoop

/// Every agent that executes, and the room that is left for more.
///
/// It starts them, takes what they send and hands it to their sinks, and forgets each one at its end.
final class AgentBoard {
  /// What bounds all agents together.
  struct Bounds {
    /// Agents that execute.
    let runsMax: Int
    /// Bytes of memory that payloads take.
    let payloadBytesMax: Int
    /// Seconds that an agent may take.
    let runSeconds: Int

    init(_ dockfile: Dockfile) {
      runsMax = dockfile.runtime.maxConcurrentRuns
      payloadBytesMax = dockfile.runtime.maxPayloadBytes
      runSeconds = dockfile.streaming.maxRunSeconds
    }
  }

  let bounds: Bounds
  let agents: [ServedAgent]
  /// Whose routes have no prefix.
  let standard: ServedAgent
  let failures: AgentFailures
  /// False once the server stops.
  var takesRuns = true
  /// Bytes that payloads take, of agents that execute and of requests that wait.
  var payloadBytes = 0
  private let deadlines: Deadlines
  private let metrics: Metrics
  // A ticket's low bits are its place here, the others grow with every agent that gets the place.
  private var invocations: [Invocation?] = []
  private var nextTickets: [Int] = []
  private var freePlaces: [Int] = []
  // Whose source had more than may be taken in one go.
  private var unfinished: [Invocation] = []
  private var reserved = 0
  // When the loop began with what it is at.
  private var lookedAt = Clock.monotonicNanoseconds()

  private static let placeBits = 24

  init(
    _ agents: [ServedAgent], standard: ServedAgent, _ bounds: Bounds, _ deadlines: Deadlines,
    _ metrics: Metrics, _ failures: AgentFailures
  ) {
    self.agents = agents
    executing = agents.map { _ in 0 }
    self.standard = standard
    self.bounds = bounds
    self.deadlines = deadlines
    self.metrics = metrics
    self.failures = failures
    for agent in agents { agent.host.onReady = { [unowned self] in drain($0) } }
  }

  func agent(named name: some StringProtocol) -> ServedAgent? { agents.first { $0.name == name } }

  /// Agents that execute now, behind any route.
  var activeCount: Int { invocations.count - freePlaces.count }
  /// The same, agent by agent.
  private(set) var executing: [Int]
  /// Runs whose records are being made.
  var reservedCount: Int { reserved }

  // MARK: Room

  /// Why the agent cannot be started now; nil when it can.
  func refusal(of agent: ServedAgent) -> AgentRefusal? {
    guard takesRuns else { return .stopping }
    if let outage = agent.host.outage { return .outage(outage) }
    guard activeCount + reserved < bounds.runsMax else { return .tooMany(most: bounds.runsMax, agent: nil) }
    guard agent.running < agent.runsMax, agent.host.hasRoom else {
      return .tooMany(most: agent.runsMax, agent: agents.count > 1 ? agent.name : nil)
    }
    return nil
  }

  /// Why a payload that takes that many bytes cannot be held now; nil when it can.
  func refusal(ofPayload bytes: Int) -> AgentRefusal? {
    guard payloadBytes + bytes > bounds.payloadBytesMax else { return nil }
    return bytes > bounds.payloadBytesMax
      ? .payload(bytes: bytes, most: bounds.payloadBytesMax)
      : .payloads(held: payloadBytes, most: bounds.payloadBytesMax)
  }

  /// Keeps a place for a run whose record is being made.
  func reserve(_ agent: ServedAgent, payload bytes: Int) {
    reserved += 1
    agent.running += 1
    payloadBytes += bytes
  }

  func release(_ agent: ServedAgent, payload bytes: Int) {
    reserved -= 1
    agent.running -= 1
    payloadBytes -= bytes
  }

  // MARK: Agents

  /// Starts the agent.
  func start(
    _ agent: ServedAgent, _ encoder: EventEncoder, hasEvents: Bool, input: Payload, _ sink: any EventSink
  ) -> Invocation {
    let place: Int
    if let free = freePlaces.popLast() {
      place = free
    } else {
      place = invocations.count
      invocations.append(nil)
      nextTickets.append(place)
    }
    let job = AgentJob(
      ticket: nextTickets[place], agent: agent, encoder: encoder, hasEvents: hasEvents, input: input.object)
    nextTickets[place] &+= 1 << Self.placeBits
    let invocation = Invocation(
      job, agent.host.start(job), sink, startedAt: deadlines.now, payloadBytes: input.bytes)
    payloadBytes += input.bytes
    agent.running += 1
    executing[agent.index] += 1
    invocations[place] = invocation
    return invocation
  }

  /// The time limit of an agent whose request is accepted now.
  func setTimeLimit(_ target: any DeadlineTarget, tag: UInt8 = 0) -> DeadlineQueues.Token {
    deadlines.set(seconds: bounds.runSeconds, target, tag: tag)
  }

  /// What an agent ends with that has taken longer.
  var timeLimitFailure: AgentError {
    AgentError(code: "RUN_TIMEOUT", message: "the run took longer than \(bounds.runSeconds) seconds")
  }

  /// A tick begins with what came in at that moment.
  func begin(at now: Int64) { lookedAt = now }

  /// True when something is left to be taken that nobody will tell of.
  var hasUnfinished: Bool { !unfinished.isEmpty }

  /// Goes on with those that had more than may be taken in one go.
  func drainUnfinished() {
    guard !unfinished.isEmpty else { return }
    let waiting = unfinished
    unfinished.removeAll(keepingCapacity: true)
    for invocation in waiting { drain(invocation) }
  }

  private func drain(_ ticket: Int) {
    guard let invocation = invocations[ticket & (1 << Self.placeBits - 1)], invocation.ticket == ticket else {
      return
    }
    drain(invocation)
  }

  /// Takes what an agent has sent and hands it on.
  ///
  /// - Parameter all: takes everything, also when the client has enough waiting: for what comes before an end.
  func drain(_ invocation: Invocation, all: Bool = false) {
    guard !invocation.hasEnded else { return }
    let (sink, source) = (invocation.sink, invocation.source)
    var taken = 0
    while all || sink?.wantsEvents ?? true, let record = source.next() {
      taken += 1
      if sink != nil, record.count > 0 { metrics.emitToWrite.add(max(0, lookedAt - record.emittedAt)) }
      guard record.ending == nil else {
        if case .failed(let error) = record.ending { failures.ended(invocation, error) }
        forget(invocation)
        source.close()
        sink?.receive(record)
        break
      }
      sink?.receive(record)
      if taken == Limits.drainEventsMax, !all {
        unfinished.append(invocation)
        break
      }
    }
    guard taken > 0 else { return }
    // Behind `started`, which is the server's word and not the agent's.
    if invocation.taken < 2, invocation.taken + taken >= 2, invocation.hasEvents {
      metrics.firstEvent(nanoseconds: deadlines.now - invocation.startedAt, agent: invocation.agent.index)
    }
    invocation.taken += taken
    source.drained()
    invocation.sink?.flush()
  }

  private func forget(_ invocation: Invocation) {
    let place = invocation.ticket & (1 << Self.placeBits - 1)
    invocation.hasEnded = true
    invocations[place] = nil
    freePlaces.append(place)
    payloadBytes -= invocation.payloadBytes
    invocation.agent.running -= 1
    executing[invocation.agent.index] -= 1
  }

  /// Nobody wants this agent's events any more: it is cancelled, and what it still says is dropped.
  func letGo(_ invocation: Invocation) {
    invocation.sink?.flush()
    if invocation.sink != nil {
      metrics.runEnded(nanoseconds: deadlines.now - invocation.startedAt, agent: invocation.agent.index)
    }
    invocation.detach()
    if invocation.hasEnded { return }
    invocation.source.cancel()
    // What waits there may be its end, or keep it from getting there.
    unfinished.append(invocation)
  }

  /// Ends everything that executes.
  func cancelAll(reason: String) {
    for invocation in invocations { invocation?.sink?.cancel(reason: reason) }
  }
}
