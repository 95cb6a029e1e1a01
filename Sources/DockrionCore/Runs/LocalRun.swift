import Dispatch

/// One agent that runs once in this process, with no server: its events come to the caller as they are emitted.
///
///     let run = LocalRun(dockfile, identity: .request("local"))
///     let outcome = try run.play(EchoAgent(), input: ["text": "Hi"]) { sequence, record in … }
///
/// Events pass the Dockfile's filter and carry sequences exactly as behind `/invoke/stream`, and
/// `streaming.events.max_run_duration` holds. The calling thread takes the part of the event loop.
public final class LocalRun {
  /// How the run ended.
  public enum Outcome: Sendable {
    /// The agent's output in JSON.
    case completed(output: [UInt8])
    case failed(AgentError)
    case cancelled
  }

  /// Stops the run from any thread.
  public final class Canceller: Sendable {
    fileprivate let reason = Locked<String?>(nil)
    fileprivate let wakeUp = DispatchSemaphore(value: 0)

    /// Asks for the run's cancellation. The run ends with `cancelled`, unless it ends by itself first.
    public func cancel(reason: String) {
      self.reason.withLock { $0 = $0 ?? reason }
      wakeUp.signal()
    }
  }

  /// Seconds that a cancelled agent gets to notice, before it is left behind.
  public static let graceSeconds = 2

  public let canceller = Canceller()
  private let dockfile: Dockfile
  private let served: Dockfile.Agent
  private let encoder: EventEncoder
  private let inbox: Inbox
  private var machine = RunStateMachine()
  private var outcome: Outcome?
  private var sequence = 0
  private var agentHasEnded = false

  /// - Parameter agent: which of the file's agents it is; the default one without.
  public init(_ dockfile: Dockfile, agent: Dockfile.Agent? = nil, identity: EventEncoder.Identity) {
    self.dockfile = dockfile
    served = agent ?? dockfile.agent
    encoder = EventEncoder(identity: identity)
    let wakeUp = canceller.wakeUp
    inbox = Inbox { wakeUp.signal() }
  }

  /// Runs the agent and returns when it has ended, or `graceSeconds` after its cancellation.
  ///
  /// - Parameters:
  ///   - input: the payload; the caller has checked it.
  ///   - receive: gets every event with its sequence. When it throws, the agent is cancelled.
  public func play(
    _ agent: any Agent, input: JSONObject, receive: (Int, EventRecord) throws -> Void
  ) throws -> Outcome {
    let description = Execution.Description(
      agentName: served.name, framework: served.framework)
    let environment = Execution.Environment(
      description, Execution.Outlet(filter: dockfile.filter(of: served), hasEvents: true),
      ringCapacity: dockfile.runtime.ringCapacity, inbox: inbox,
      workers: Workers(cores: 2, threads: dockfile.runtime.workerThreads), counters: WorkerCounters())
    let execution = Execution(slot: 0, encoder: encoder, environment)
    execution.start(agent, input: input)
    defer {
      execution.cancel()
      execution.close()
    }
    let limit = DispatchTime.now() + .seconds(dockfile.streaming.maxRunSeconds)
    var deadline = limit
    while true {
      try drain(execution, receive)
      if outcome == nil, let record = interruption(limit) {
        execution.cancel()
        deadline = .now() + .seconds(Self.graceSeconds)
        try finish(record, receive)
      }
      if let outcome, agentHasEnded || DispatchTime.now() >= deadline { return outcome }
      if inbox.park() { _ = canceller.wakeUp.wait(timeout: deadline) }
      inbox.unpark()
      inbox.takeAll()
    }
  }

  private func drain(_ execution: Execution, _ receive: (Int, EventRecord) throws -> Void) throws {
    var taken = false
    while let record = execution.next() {
      taken = true
      agentHasEnded = agentHasEnded || record.ending != nil
      switch record.ending {
      case nil:
        if machine.event() == .append { try pass(record, receive) }
      case .completed(let output, _):
        guard machine.agentEnded(.completed) == .finish else { continue }
        outcome = .completed(output: output)
        try pass(record, receive)
      case .failed(let error):
        guard machine.agentEnded(.failed) == .finish else { continue }
        outcome = .failed(error)
        try pass(record, receive)
      case .cancelled:
        guard machine.cancel() == .finish else { continue }
        outcome = .cancelled
        try finish(encoder.cancelledRecord(reason: nil), receive)
      }
    }
    if taken { execution.drained() }
  }

  /// The terminal event of a cancellation or of the time limit, when either has come.
  private func interruption(_ limit: DispatchTime) -> EventRecord? {
    if let reason = canceller.reason.withLock({ $0 }), machine.cancel() == .finish {
      outcome = .cancelled
      return encoder.cancelledRecord(reason: reason)
    }
    guard DispatchTime.now() >= limit, machine.timeLimitReached() == .finish else { return nil }
    let seconds = dockfile.streaming.maxRunSeconds
    let error = AgentError(code: "RUN_TIMEOUT", message: "the run took longer than \(seconds) seconds")
    outcome = .failed(error)
    return encoder.failureRecord(error, ended: false)
  }

  private func finish(_ record: EventRecord, _ receive: (Int, EventRecord) throws -> Void) throws {
    if sequence == 0 {
      try pass(
        encoder.startedRecord(agentName: served.name, framework: served.framework), receive)
    }
    try pass(record, receive)
  }

  private func pass(_ record: EventRecord, _ receive: (Int, EventRecord) throws -> Void) rethrows {
    sequence += 1
    try receive(sequence, record)
  }
}
