import DockrionCore

/// What runs agents of one kind: in this process, in others, or behind a URL.
protocol AgentHost: AnyObject {
  /// Why it can run none now; nil when all is well.
  var outage: String? { get }
  /// False while it can take no further agent, though it will again.
  var hasRoom: Bool { get }
  /// Tells the board that the source with this ticket has something; set by the board, called on the loop.
  var onReady: (_ ticket: Int) -> Void { get set }

  /// True until it is known whether it can run agents.
  var isStarting: Bool { get }
  /// Why it will never run any, found while it was starting.
  var startProblem: String? { get }
  /// False while something of its is still to end after `close`.
  var isClosed: Bool { get }

  /// Begins what it needs, once, before it is asked for anything.
  func begin() throws(ServerError)
  /// The server stops, and no agent executes any more that anybody waits for.
  func close()
  /// Ends at once what has not ended since.
  func kill()

  /// Starts an agent. Whatever becomes of it, its source ends with a record that has an `ending`.
  func start(_ job: AgentJob) -> any EventSource
}

/// What a host is that has nothing to start and nothing to end.
extension AgentHost {
  var isStarting: Bool { false }
  var startProblem: String? { nil }
  var isClosed: Bool { true }

  func begin() throws(ServerError) {}
  func close() {}
  func kill() {}
}

/// An agent that is to be started, and for whom.
struct AgentJob {
  /// What `AgentHost.onReady` names it by.
  let ticket: Int
  let agent: ServedAgent
  let encoder: EventEncoder
  /// False behind `/invoke`: the outcome is all that anybody wants.
  let hasEvents: Bool
  let input: JSONObject
}

/// Where an agent's events come from: what the loop needs of an agent that executes, and nothing more.
protocol EventSource: AnyObject {
  /// Takes the next event; nil when there is none now. The last one has an `ending`.
  func next() -> EventRecord?
  /// A series of `next` is over: whoever waits for room may go on.
  func drained()
  /// Asks the agent to stop. Its end still comes.
  func cancel()
  /// The last event was taken.
  func close()
}
