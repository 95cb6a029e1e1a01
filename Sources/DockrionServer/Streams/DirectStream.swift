import DockrionCore
import DockrionLoop

/// Pattern A: one agent's events to the one client that asked for them, and no copy anywhere.
final class DirectStream: EventSink, ExchangeOwner, DeadlineTarget {
  private let server: Server
  private let stream: EventStream
  private let encoder: EventEncoder
  private let chunk: Server.Scratch
  private var machine = RunStateMachine()
  private var sequence = 0
  private var timeLimit: DeadlineQueues.Token?
  private var invocation: Invocation?

  init(_ exchange: Exchange, _ server: Server, _ encoder: EventEncoder) {
    self.server = server
    self.encoder = encoder
    chunk = server.chunk
    stream = EventStream(exchange, server, encoder, .direct)
    exchange.owner = self
  }

  /// - Parameter limit: the time limit, where it runs already.
  func start(_ invocation: Invocation, _ limit: DeadlineQueues.Token?) {
    self.invocation = invocation
    timeLimit = limit.map { server.handOn($0, to: self) } ?? server.setTimeLimit(self)
    server.sendHeadSoon(stream)
  }

  func connectionClosed(_ reason: CloseReason) {
    if stream.closed(reason) { letGo() }
  }

  func roomToSend() {
    guard stream.hasRoom else { return }
    wantsEvents = true
    if let invocation { server.drain(invocation.execution) }
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
    server.metrics.event(record.kind)
  }

  func flush() {
    guard chunk.writer.count > 0 else { return }
    stream.send(chunk.writer.bytes)
    chunk.writer.removeAll(keepingAtMost: 256 << 10)
    wantsEvents = !stream.isPaused
  }

  private func finish(_ action: RunStateMachine.Action, _ record: EventRecord) {
    guard action == .finish else { return }
    if sequence == 0 { add(server.startedRecord(encoder)) }
    add(record)
    stream.end(.finished, chunk.writer.bytes)
    chunk.writer.removeAll(keepingAtMost: 256 << 10)
    letGo()
  }

  func cancel(reason: String) {
    drainFirst()
    finish(machine.cancel(), encoder.cancelledRecord(reason: reason))
  }

  func deadlinePassed(_ tag: UInt8) {
    timeLimit = nil
    drainFirst()
    let seconds = server.dockfile.streaming.maxRunSeconds
    let failure = AgentError(code: "RUN_TIMEOUT", message: "the run took longer than \(seconds) seconds")
    let action = machine.timeLimitReached()
    if action == .finish { server.logFailure(of: encoder.identity, failure) }
    finish(action, encoder.failureRecord(failure, ended: false))
  }

  /// What the agent said before the end came first.
  private func drainFirst() {
    if let invocation { server.drain(invocation.execution, all: true) }
  }

  private func letGo() {
    server.clearDeadline(timeLimit)
    timeLimit = nil
    if let invocation { server.letGo(invocation) }
    invocation = nil
  }
}
