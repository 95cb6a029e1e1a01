import DockrionCore
import DockrionLoop

/// Gets the payload of a request: checked, parsed, and held within the bound.
///
/// A small body is parsed where it arrives. A large one is parsed by a worker, and its request waits, with the agent's time
/// limit already running.
final class PayloadIntake {
  /// Goes on with a payload.
  ///
  /// - Parameter limit: the time limit, where it runs since the request was accepted some time ago.
  typealias Start = (Payload, _ limit: DeadlineQueues.Token?) throws(ErrorReply) -> Void

  private let board: AgentBoard
  private let replies: Replies
  fileprivate let deadlines: Deadlines
  private let inbox: Inbox
  private let worker: WorkerPool
  private let bodyBytesMax: Int
  private var waiting: [ObjectIdentifier: WaitingRequest] = [:]

  /// - Parameters:
  ///   - worker: parses large bodies.
  ///   - bodyBytesMax: bytes of a body.
  init(
    _ board: AgentBoard, _ replies: Replies, _ deadlines: Deadlines, _ inbox: Inbox, worker: WorkerPool,
    bodyBytesMax: Int
  ) {
    self.board = board
    self.replies = replies
    self.deadlines = deadlines
    self.inbox = inbox
    self.worker = worker
    self.bodyBytesMax = bodyBytesMax
  }

  /// True while requests wait for their payloads.
  var isBusy: Bool { !waiting.isEmpty }

  /// The request's payload; nil when it is so large that `parse` must be asked for it.
  func payload(of request: RouteRequest) throws(ErrorReply) -> Payload? {
    let exchange = request.exchange
    try checkForm(exchange)
    let count = exchange.withBody { $0.count }
    guard count <= bodyBytesMax else {
      throw ErrorReply(
        413, "PAYLOAD_TOO_LARGE", "body: \(count) bytes; at most \(bodyBytesMax) are taken")
    }
    guard count <= Limits.loopParseBytesMax else { return nil }
    let schema = request.agent.inputSchema
    switch exchange.withBody({ Payload.parse($0, schema) }) {
    case .success(let payload): return payload
    case .failure(let problem): throw ErrorReply(problem)
    }
  }

  /// Has a worker parse the request's payload, and calls `start` with it.
  func parse(_ request: RouteRequest, _ start: @escaping Start) throws(ErrorReply) {
    let exchange = request.exchange
    let count = exchange.withBody { $0.count }
    if let refusal = board.refusal(ofPayload: count) { throw ErrorReply(refusal) }
    let parse = PayloadParse(
      exchange.withBody { Array($0) }, request.agent.inputSchema,
      onParsed: LoopHandler { [unowned self] in parsed($0) })
    board.payloadBytes += count
    waiting[ObjectIdentifier(parse)] = WaitingRequest(exchange, self, board, replies, start)
    parse.start(on: worker, inbox)
  }

  private func checkForm(_ exchange: Exchange) throws(ErrorReply) {
    // Nearly always it is these bytes; taking characters apart costs as much as parsing a small body.
    if !exchange.hasHeader("Content-Type", "application/json"), let type = exchange.header("Content-Type") {
      let name = type.prefix { $0 != ";" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed()
      guard String(name).lowercased() == "application/json" else {
        throw ErrorReply(
          415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type: \(quoted(type)) is not application/json")
      }
    }
    if let coding = exchange.header("Content-Encoding"), !coding.isEmpty {
      var refusal = ErrorReply(
        415, "UNSUPPORTED_MEDIA_TYPE",
        "Content-Encoding: \(quoted(coding)) is not decoded; send the body as it is")
      refusal.headers.append(("Accept-Encoding", "identity"))
      throw refusal
    }
  }

  private func parsed(_ parse: PayloadParse) {
    guard let request = waiting.removeValue(forKey: ObjectIdentifier(parse)), let outcome = parse.take()
    else { return }
    board.payloadBytes -= parse.bytes.count
    guard let limit = request.takeLimit() else { return }
    do throws(ErrorReply) {
      switch outcome {
      case .success(let payload): try request.start(payload, limit)
      case .failure(let problem): throw ErrorReply(problem)
      }
    } catch {
      deadlines.clear(limit)
      replies.send(request.exchange, error)
    }
  }
}

/// A request that waits for its payload. Its time limit runs.
private final class WaitingRequest: ExchangeOwner, DeadlineTarget {
  let exchange: Exchange
  let start: PayloadIntake.Start
  private unowned let intake: PayloadIntake
  private let board: AgentBoard
  private let replies: Replies
  private var limit: DeadlineQueues.Token?

  init(
    _ exchange: Exchange, _ intake: PayloadIntake, _ board: AgentBoard, _ replies: Replies,
    _ start: @escaping PayloadIntake.Start
  ) {
    self.exchange = exchange
    self.intake = intake
    self.board = board
    self.replies = replies
    self.start = start
    exchange.owner = self
    limit = board.setTimeLimit(self)
  }

  /// Ends the waiting: the time limit, to be handed on; nil when the client has left or has its reply.
  func takeLimit() -> DeadlineQueues.Token? {
    defer { limit = nil }
    if limit != nil { exchange.owner = nil }
    return limit
  }

  func connectionClosed(_ reason: CloseReason) {
    intake.deadlines.clear(limit)
    limit = nil
  }

  func roomToSend() {}

  func deadlinePassed(_ tag: UInt8) {
    limit = nil
    exchange.owner = nil
    let failure = board.timeLimitFailure
    replies.send(exchange, ErrorReply(504, failure.code, failure.message))
  }
}
