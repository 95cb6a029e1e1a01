import DockrionCore
import DockrionLoop

/// Pattern A: one agent's events to the one client that asked for them, and no copy anywhere.
final class DirectStream: EventSink, ExchangeOwner, DeadlineTarget {
  private let agent: ServedAgent
  private let board: AgentBoard
  private let book: StreamBook
  private let stream: EventStream
  private let encoder: EventEncoder
  private let chunk: Scratch
  // Its own, since every event asks for them.
  private let metrics: Metrics
  private let agentIndex: Int
  private var machine = RunStateMachine()
  private var sequence = 0
  private var timeLimit: DeadlineQueues.Token?
  private var invocation: Invocation?

  init(
    _ exchange: Exchange, _ agent: ServedAgent, _ board: AgentBoard, _ book: StreamBook,
    _ encoder: EventEncoder
  ) {
    self.agent = agent
    self.board = board
    self.book = book
    self.encoder = encoder
    chunk = book.chunk
    metrics = book.metrics
    agentIndex = agent.index
    stream = EventStream(
      exchange, book, encoder, .direct, agent: agent.index, hasHeartbeats: agent.hasHeartbeats)
    exchange.owner = self
  }

  /// - Parameter limit: the time limit, where it runs already.
  func start(_ invocation: Invocation, _ limit: DeadlineQueues.Token?) {
    self.invocation = invocation
    timeLimit = limit.map { book.deadlines.hand($0, to: self) } ?? board.setTimeLimit(self)
    book.sendHeadSoon(stream)
  }

  func connectionClosed(_ reason: CloseReason) {
    if stream.closed(reason) { letGo() }
  }

  func roomToSend() {
    guard stream.hasRoom else { return }
    wantsEvents = true
    if let invocation { board.drain(invocation) }
  }

  private(set) var wantsEvents = true

  func receive(_ record: EventRecord) {
    switch record.ending {
    case nil:
      if machine.event() == .append { write(record) }
    case .completed: finish(machine.agentEnded(.completed), record)
    case .failed, .cancelled: finish(machine.agentEnded(.failed), record)
    }
  }

  private func write(_ record: EventRecord) {
    add(record)
    if chunk.writer.count >= Limits.streamBufferBytesHigh { flush() }
  }

  /// Gives an event its sequence, and counts it: here and nowhere else.
  private func add(_ record: EventRecord) {
    sequence += 1
    record.write(sequence: sequence, id: false, to: &chunk.writer)
    metrics.event(record.kind, agent: agentIndex)
  }

  func flush() {
    guard chunk.writer.count > 0 else { return }
    stream.send(chunk.writer.bytes)
    chunk.writer.reuse()
    wantsEvents = !stream.isPaused
  }

  private func finish(_ action: RunStateMachine.Action, _ record: EventRecord) {
    guard action == .finish else { return }
    if sequence == 0 { add(agent.startedRecord(encoder)) }
    add(record)
    stream.end(.finished, chunk.writer.bytes)
    chunk.writer.reuse()
    letGo()
  }

  func cancel(reason: String) {
    drainFirst()
    finish(machine.cancel(), encoder.cancelledRecord(reason: reason))
  }

  func deadlinePassed(_ tag: UInt8) {
    timeLimit = nil
    drainFirst()
    let failure = board.timeLimitFailure
    let action = machine.timeLimitReached()
    if action == .finish { board.failures.ended(encoder.identity, of: agent, failure) }
    finish(action, encoder.failureRecord(failure, ended: false))
  }

  /// What the agent said before the end came first.
  private func drainFirst() {
    if let invocation { board.drain(invocation, all: true) }
  }

  private func letGo() {
    book.deadlines.clear(timeLimit)
    timeLimit = nil
    if let invocation { board.letGo(invocation) }
    invocation = nil
  }
}
