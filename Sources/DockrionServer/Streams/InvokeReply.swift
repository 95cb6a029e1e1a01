import DockrionCore
import DockrionLoop

/// `POST /invoke`: the agent's output in one piece.
final class InvokeReply: EventSink, ExchangeOwner, DeadlineTarget {
  private let server: Server
  private let exchange: Exchange
  private var invocation: Invocation?
  private var timeLimit: DeadlineQueues.Token?

  init(_ exchange: Exchange, _ server: Server) {
    self.exchange = exchange
    self.server = server
  }

  /// - Parameter limit: the time limit, where it runs already.
  func start(_ invocation: Invocation, _ limit: DeadlineQueues.Token?) {
    self.invocation = invocation
    exchange.owner = self
    timeLimit = limit.map { server.handOn($0, to: self) } ?? server.setTimeLimit(self)
  }

  var wantsEvents: Bool { true }

  func receive(_ record: EventRecord) {
    switch record.ending {
    case nil: return
    case .completed(let output, let seconds):
      server.body.writer.removeAll(keepingAtMost: 256 << 10)
      server.body.writer.append("{\"success\":true,\"output\":")
      server.body.writer.append(output)
      server.body.writer.append(server.invokeTail)
      server.body.writer.append(seconds.description)
      server.body.writer.append("}}")
      server.reply(exchange, 200, body: server.body.writer.bytes)
    case .failed(let error):
      let status = error.code == "VALIDATION_ERROR" ? 422 : 500
      var reply = ErrorReply(status, error.code, error.message)
      reply.details = error.detailsJSON
      reply.isLogged = true
      server.reply(exchange, reply)
    case .cancelled: server.reply(exchange, ErrorReply(500, "AGENT_ERROR", "the agent was cancelled"))
    }
    letGo()
  }

  func flush() {}

  func cancel(reason: String) {
    server.reply(exchange, ErrorReply(503, "SHUTTING_DOWN", reason, retryAfter: 1))
    letGo()
  }

  func deadlinePassed(_ tag: UInt8) {
    timeLimit = nil
    server.metrics.agentFailed("RUN_TIMEOUT")
    server.reply(exchange, server.runTimeout)
    letGo()
  }

  func connectionClosed(_ reason: CloseReason) { letGo() }
  func roomToSend() {}

  private func letGo() {
    server.clearDeadline(timeLimit)
    timeLimit = nil
    if let invocation { server.letGo(invocation) }
    invocation = nil
  }
}
