/// Where a run stands. `completed`, `failed` and `cancelled` are final.
public enum RunStatus: String, Sendable, CaseIterable {
  case accepted, running, completed, failed, cancelled

  public var isFinal: Bool { self == .completed || self == .failed || self == .cancelled }
}

/// What may happen to a run, and what is to be done about it. Whatever comes first wins; a final status stays.
///
///     var machine = RunStateMachine()
///     machine.cancel()                   // .finish: store `cancelled`, stop the agent
///     machine.agentEnded(.completed)     // .ignore: too late
public struct RunStateMachine: Sendable {
  public enum Action: Sendable, Equatable {
    /// Store this event and go on.
    case append
    /// Store the one terminal event; the run is over.
    case finish
    /// Drop it: the run was over already.
    case ignore
  }

  public private(set) var status = RunStatus.accepted

  public init() {}

  /// The agent has begun, or said something.
  public mutating func event() -> Action {
    if status == .accepted { status = .running }
    return status.isFinal ? .ignore : .append
  }

  /// The agent ended by itself with a final status.
  public mutating func agentEnded(_ final: RunStatus) -> Action { finish(as: final) }

  /// A client or a shutdown wants it to stop.
  public mutating func cancel() -> Action { finish(as: .cancelled) }

  /// It ran longer than `max_run_duration`.
  public mutating func timeLimitReached() -> Action { finish(as: .failed) }

  private mutating func finish(as final: RunStatus) -> Action {
    precondition(final.isFinal, "\(final) is no final status")
    if status.isFinal { return .ignore }
    status = final
    return .finish
  }
}
