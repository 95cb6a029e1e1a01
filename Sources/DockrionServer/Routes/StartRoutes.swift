import DockrionCore
import DockrionLoop

/// The routes that start an agent: `POST /invoke`, `/invoke/stream` and `/runs`.
final class StartRoutes {
  private let board: AgentBoard
  private let book: StreamBook
  private let replies: Replies
  private let intake: PayloadIntake
  private let site: SitePolicy
  private let ids: RandomIDs
  private let backend: any RunBackend
  private let allowsClientIDs: Bool
  private let unstarted = UnstartedRun()

  /// - Parameter allowsClientIDs: whether clients may choose their runs' ids.
  init(
    _ board: AgentBoard, _ book: StreamBook, _ replies: Replies, _ intake: PayloadIntake, _ site: SitePolicy,
    _ ids: RandomIDs, _ backend: any RunBackend, allowsClientIDs: Bool
  ) {
    self.board = board
    self.book = book
    self.replies = replies
    self.intake = intake
    self.site = site
    self.ids = ids
    self.backend = backend
    self.allowsClientIDs = allowsClientIDs
  }

  // MARK: Pattern A

  func invoke(_ request: RouteRequest) throws(ErrorReply) {
    try begin(request)
    if let input = try intake.payload(of: request) { return try invoke(request, input, nil) }
    try intake.parse(request) { [self] (input, limit) throws(ErrorReply) in
      try invoke(request, input, limit)
    }
  }

  private func invoke(
    _ request: RouteRequest, _ input: Payload, _ limit: DeadlineQueues.Token?
  ) throws(ErrorReply) {
    let (agent, exchange) = (request.agent, request.exchange)
    let encoder = try encoder(agent, exchange, input)
    exchange.dropLargeBody()
    let sink = InvokeReply(exchange, agent, board, replies, book)
    sink.start(board.start(agent, encoder, hasEvents: false, input: input, sink), limit)
  }

  func stream(_ request: RouteRequest) throws(ErrorReply) {
    try begin(request)
    if let input = try intake.payload(of: request) { return try stream(request, input, nil) }
    try intake.parse(request) { [self] (input, limit) throws(ErrorReply) in
      try stream(request, input, limit)
    }
  }

  private func stream(
    _ request: RouteRequest, _ input: Payload, _ limit: DeadlineQueues.Token?
  ) throws(ErrorReply) {
    let (agent, exchange) = (request.agent, request.exchange)
    let encoder = try encoder(agent, exchange, input)
    let sink = DirectStream(exchange, agent, board, book, encoder)
    sink.start(board.start(agent, encoder, hasEvents: true, input: input, sink), limit)
  }

  private func begin(_ request: RouteRequest) throws(ErrorReply) {
    try site.checkOrigin(request.exchange)
    if let refusal = board.refusal(of: request.agent) { throw ErrorReply(refusal) }
  }

  /// There is room for the agent: what its events will carry.
  private func encoder(
    _ agent: ServedAgent, _ exchange: Exchange, _ input: Payload
  ) throws(ErrorReply) -> EventEncoder {
    if let refusal = refusal(agent, input) { throw ErrorReply(refusal) }
    let encoder = EventEncoder(identity: .request(requestID(exchange)))
    exchange.identity = encoder.identity
    return encoder
  }

  private func refusal(_ agent: ServedAgent, _ input: Payload) -> AgentRefusal? {
    board.refusal(of: agent) ?? board.refusal(ofPayload: input.bytes)
  }

  private func requestID(_ exchange: Exchange) -> String {
    if let id = exchange.header("X-Request-Id"), id.isClientID { return id }
    return ids.next()
  }

  // MARK: Pattern B

  func create(_ request: RouteRequest) throws(ErrorReply) {
    try site.checkOrigin(request.exchange)
    // A request that repeats another starts no agent.
    if request.exchange.header("Idempotency-Key") == nil, let refusal = board.refusal(of: request.agent) {
      throw ErrorReply(refusal)
    }
    if let input = try intake.payload(of: request) { return try create(request, input, nil) }
    try intake.parse(request) { [self] (input, limit) throws(ErrorReply) in
      try create(request, input, limit)
    }
  }

  private func create(
    _ request: RouteRequest, _ input: Payload, _ accepted: DeadlineQueues.Token?
  ) throws(ErrorReply) {
    let (agent, exchange) = (request.agent, request.exchange)
    var hasReserved = false
    let id = try clientID(exchange)
    exchange.identity = id.map { .run($0) }
    let begin: (Run, DeadlineQueues.Token) -> Void = { [self] run, limit in
      book.metrics.run(.accepted, agent: agent.index)
      guard book.deadlines.isSet(limit) else {
        _ = run.fail(board.timeLimitFailure)
        return
      }
      run.start(board.start(agent, run.encoder, hasEvents: true, input: input, run), limit)
    }
    let run = RunRequest(
      id: id, key: try idempotencyKey(exchange, agent), agent: agent, payloadBytes: input.bytes,
      reserve: { [self] () throws(AgentRefusal) in
        if let refusal = refusal(agent, input) { throw refusal }
        board.reserve(agent, payload: input.bytes)
        hasReserved = true
      }, start: { [self] run in begin(run, board.setTimeLimit(unstarted)) })
    exchange.dropLargeBody()
    let limit = accepted.map { book.deadlines.hand($0, to: unstarted) } ?? board.setTimeLimit(unstarted)
    backend.admit(run) { [self] result in
      if hasReserved { board.release(agent, payload: input.bytes) }
      switch result {
      case .success(.repeated(let id, let createdAt)):
        book.deadlines.clear(limit)
        replyCreated(request, id, createdAt)
      case .success(.new(let run)):
        // Also when the client has left: the run exists, and its client may look for it under its own id or key.
        begin(run, limit)
        replyCreated(request, run.id, run.createdAt)
      case .failure(let problem):
        book.deadlines.clear(limit)
        replies.send(exchange, ErrorReply(problem))
      }
    }
  }

  private func clientID(_ exchange: Exchange) throws(ErrorReply) -> String? {
    guard let id = Query(exchange.query)["run_id"] else { return nil }
    guard allowsClientIDs else {
      throw ErrorReply(
        400, "VALIDATION_ERROR", "run_id: this server chooses the ids (streaming.allow_client_ids is false)")
    }
    guard id.isClientID else { throw ErrorReply.notAnID("run_id", id) }
    return id
  }

  /// The key that makes a `POST /runs` safe to repeat, and what its body looks like.
  private func idempotencyKey(_ exchange: Exchange, _ agent: ServedAgent) throws(ErrorReply)
    -> IdempotencyKey?
  {
    guard let text = exchange.header("Idempotency-Key") else { return nil }
    guard !text.isEmpty, text.utf8.count <= Limits.idempotencyKeyBytesMax else {
      throw ErrorReply(
        400, "VALIDATION_ERROR",
        "Idempotency-Key: \(text.utf8.count) bytes; 1…\(Limits.idempotencyKeyBytesMax) are allowed")
    }
    // Other bytes would be compared as text: two that are no UTF-8, or differ in normal form, would be one key.
    guard text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
      throw ErrorReply(
        400, "VALIDATION_ERROR", "Idempotency-Key: \(quoted(text)) is not of printable ASCII characters alone"
      )
    }
    let name = agent === board.standard ? nil : agent.name
    return exchange.withBody { IdempotencyKey(text, body: $0, agent: name) }
  }

  private func replyCreated(_ request: RouteRequest, _ id: String, _ createdAt: Int64) {
    request.exchange.identity = .run(id)
    let place = "\(request.prefix)/runs/\(id)"
    replies.send(request.exchange, 202, headers: [("Location", place)]) { out in
      out.append("{\"run_id\":\"")
      out.append(id)
      out.append("\",\"status\":\"accepted\",\"events_url\":\"")
      out.append(place)
      out.append("/events\",\"created_at\":\"")
      out.append(timestamp: createdAt)
      out.append("\"}")
    }
  }
}

/// Holds the time limit of a run while its record is being made; when it passes, the agent is not
/// started any more.
private final class UnstartedRun: DeadlineTarget {
  func deadlinePassed(_ tag: UInt8) {}
}
