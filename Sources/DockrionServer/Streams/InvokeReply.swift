import DockrionCore
import DockrionLoop

/// `POST /invoke`: the agent's output in one piece.
final class InvokeReply: EventSink, ExchangeOwner, DeadlineTarget {
  private let agent: ServedAgent
  private let board: AgentBoard
  private let replies: Replies
  private let book: StreamBook
  private let exchange: Exchange
  private var invocation: Invocation?
  private var timeLimit: DeadlineQueues.Token?

  init(
    _ exchange: Exchange, _ agent: ServedAgent, _ board: AgentBoard, _ replies: Replies, _ book: StreamBook
  ) {
    self.exchange = exchange
    self.agent = agent
    self.board = board
    self.replies = replies
    self.book = book
  }

  /// - Parameter limit: the time limit, where it runs already.
  func start(_ invocation: Invocation, _ limit: DeadlineQueues.Token?) {
    self.invocation = invocation
    exchange.owner = self
    timeLimit = limit.map { book.deadlines.hand($0, to: self) } ?? board.setTimeLimit(self)
  }

  var wantsEvents: Bool { true }

  func receive(_ record: EventRecord) {
    switch record.ending {
    case nil: return
    case .completed(let output, let seconds):
      replies.send(exchange, 200) { out in
        out.append("{\"success\":true,\"output\":")
        out.append(output)
        out.append(agent.invokeTail)
        out.append(seconds.description)
        out.append("}}")
      }
    case .failed(let error):
      let status = error.code == "VALIDATION_ERROR" ? 422 : 500
      var reply = ErrorReply(status, error.code, error.message)
      reply.details = error.detailsJSON
      reply.isLogged = true
      replies.send(exchange, reply)
    case .cancelled: replies.send(exchange, ErrorReply(500, "AGENT_ERROR", "the agent was cancelled"))
    }
    letGo()
  }

  func flush() {}

  func cancel(reason: String) {
    replies.send(exchange, ErrorReply(503, "SHUTTING_DOWN", reason, retryAfter: 1))
    letGo()
  }

  func deadlinePassed(_ tag: UInt8) {
    timeLimit = nil
    let failure = board.timeLimitFailure
    book.metrics.agentFailed(failure.code, agent: agent.index)
    replies.send(exchange, ErrorReply(504, failure.code, failure.message))
    letGo()
  }

  func connectionClosed(_ reason: CloseReason) { letGo() }
  func roomToSend() {}

  private func letGo() {
    book.deadlines.clear(timeLimit)
    timeLimit = nil
    if let invocation { board.letGo(invocation) }
    invocation = nil
  }
}
