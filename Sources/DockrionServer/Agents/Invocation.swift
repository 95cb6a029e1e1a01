import DockrionCore

/// Where the events of one agent go.
protocol EventSink: AnyObject {
  /// False while no more events can be taken: the source fills and the agent waits.
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
  let agent: ServedAgent
  let encoder: EventEncoder
  let hasEvents: Bool
  /// What the board calls it; no other ever has the same.
  let ticket: Int
  /// Nil once nobody wants the agent's events any more.
  fileprivate(set) var sink: (any EventSink)?
  /// When it was started, on the loop's clock.
  let startedAt: Int64
  /// What the agent's payload takes in memory, about; it counts until the agent has ended.
  let payloadBytes: Int
  let source: any EventSource
  /// True once the agent's last record has been taken.
  var hasEnded = false
  /// Events that were taken, `started` among them.
  var taken = 0

  init(
    _ job: AgentJob, _ source: any EventSource, _ sink: any EventSink, startedAt: Int64, payloadBytes: Int
  ) {
    agent = job.agent
    encoder = job.encoder
    hasEvents = job.hasEvents
    ticket = job.ticket
    self.source = source
    self.sink = sink
    self.startedAt = startedAt
    self.payloadBytes = payloadBytes
  }

  /// Its events go nowhere from now on.
  func detach() { sink = nil }
}
