import DockrionCore

/// Where the events of one agent go.
protocol EventSink: AnyObject {
  /// False while no more events can be taken: the ring fills and the agent waits.
  var wantsEvents: Bool { get }
  /// Takes an event. The last of an agent has an `ending`.
  func receive(_ record: EventRecord)
  /// A drain is over: sends on what it brought.
  func flush()
  /// Ends what is there with a terminal event of the server's own, and lets go of the agent.
  func cancel(reason: String)
}

/// One agent that executes, on the loop's side. It stays until the agent has ended, whatever became of the client.
final class Invocation {
  let execution: Execution
  /// The agent's task.
  let task: Task<Void, Never>
  /// Nil once nobody wants the agent's events any more.
  var sink: (any EventSink)?
  /// What the agent's payload takes in memory, about; it counts until the agent has ended.
  var payloadBytes = 0
  /// True once the agent's last record has been taken.
  var hasEnded = false
  /// When it was started, on the loop's clock.
  let startedAt: Int64
  /// Events that were taken, `started` among them.
  var taken = 0

  init(_ execution: Execution, _ sink: any EventSink, _ task: Task<Void, Never>, startedAt: Int64) {
    self.execution = execution
    self.task = task
    self.sink = sink
    self.startedAt = startedAt
  }
}
