import DockrionCore
import DockrionLoop

// Requests: from a read request to a reply or to an agent that has been started.
extension Server {
  /// Answers a request, at once or later.
  func handle(_ exchange: Exchange) {
    exchange.route = router.unknownRoute
    do throws(ErrorReply) {
      try dispatch(exchange)
    } catch {
      reply(exchange, error)
    }
  }

  private func dispatch(_ exchange: Exchange) throws(ErrorReply) {
    if let refusal = exchange.refusal {
      exchange.route = router.match(exchange.path)?.route ?? router.unknownRoute
      throw ErrorReply(refusal)
    }
    try site.checkHost(exchange)
    if exchange.method == .options, exchange.path == "*" {
      return reply(exchange, 204, headers: [("Allow", "GET, HEAD, POST, DELETE, OPTIONS")], contentType: nil)
    }
    guard let (index, runID) = router.match(exchange.path) else {
      throw ErrorReply(404, "NOT_FOUND", "there is nothing at \(Self.shown(exchange.path))")
    }
    exchange.route = index
    let route = router.routes[index]
    if exchange.method == .options {
      let cors = cors?.preflight(exchange, allow: route.allow) ?? []
      return reply(exchange, 204, headers: [("Allow", route.allow)] + cors, contentType: nil)
    }
    guard let endpoint = route.endpoint(exchange.method) else {
      var refusal = ErrorReply(405, "METHOD_NOT_ALLOWED", "\(route.path) takes \(route.allow)")
      refusal.headers.append(("Allow", route.allow))
      throw refusal
    }
    if endpoint.needsKey {
      try auth.check(exchange)
      if let query = exchange.query { try Query(query).check(known: Parameter.queryNames(endpoint)) }
    }
    switch endpoint {
    case .invoke, .invokeStream, .createRun: try begin(exchange, endpoint)
    case .listRuns: try listRuns(exchange)
    case .run: showRun(exchange, try validID(exchange, runID))
    case .cancelRun: try cancelRun(exchange, try validID(exchange, runID))
    case .runEvents: try subscribe(exchange, try validID(exchange, runID))
    case .health, .ready, .metrics, .info, .schema, .openAPI, .welcome: try operate(exchange, endpoint)
    }
  }

  /// A path as an error shows it: bare where it is as short and plain as paths are, else quoted and cut.
  private static func shown(_ path: String) -> String {
    path.utf8.count <= 120 && path.utf8.allSatisfy({ $0 < 0x7F }) ? path : quoted(path)
  }

  // MARK: Replies

  func reply(
    _ exchange: Exchange, _ status: Int, headers: [(String, String)] = [], body: UnsafeRawBufferPointer,
    contentType: String? = "application/json"
  ) {
    guard exchange.isOpen else { return }
    let method = exchange.method
    exchange.reply(
      status, headers + (cors?.headers(exchange) ?? []), body: body, contentType: contentType)
    metrics.request(
      route: exchange.route, method: method, status: status,
      nanoseconds: Clock.monotonicNanoseconds() - exchange.startedAt)
  }

  func reply(_ exchange: Exchange, _ status: Int, headers: [(String, String)] = [], contentType: String?) {
    reply(
      exchange, status, headers: headers, body: UnsafeRawBufferPointer(start: nil, count: 0),
      contentType: contentType)
  }

  func reply(_ exchange: Exchange, _ error: ErrorReply) {
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"success\":false,\"error\":")
    body.writer.append(json: error.message)
    body.writer.append(",\"code\":")
    body.writer.append(json: error.code)
    if let details = error.details {
      body.writer.append(",\"details\":")
      body.writer.append(details)
    }
    body.writer.append("}")
    if error.closes { exchange.closeAfterReply() }
    log(error, exchange)
    reply(exchange, error.status, headers: error.headers, body: body.writer.bytes)
  }

  // MARK: Payloads

  /// The payload, or nil when a worker parses it and the request goes on in `payloadParsed`.
  private func payload(_ exchange: Exchange, _ endpoint: Endpoint) throws(ErrorReply) -> Payload? {
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
    let count = exchange.withBody { $0.count }
    guard count <= dockfile.runtime.maxBodyBytes else {
      throw ErrorReply(
        413, "PAYLOAD_TOO_LARGE", "body: \(count) bytes; at most \(dockfile.runtime.maxBodyBytes) are taken")
    }
    guard count <= Limits.loopParseBytesMax else {
      try checkRoom(forPayload: count)
      let parse = PayloadParse(exchange.withBody { Array($0) }, inputSchema)
      parseOnWorker(parse, PendingRequest(exchange, endpoint, self))
      return nil
    }
    return try exchange.withBody { PayloadParse.parse($0, inputSchema) }.get()
  }

  /// Goes on with a request whose payload a worker has parsed.
  func payloadParsed(_ request: PendingRequest, _ outcome: PayloadParse.Outcome) {
    guard let limit = request.takeLimit() else { return }
    do throws(ErrorReply) {
      try execute(request.exchange, request.endpoint, outcome.get(), limit)
    } catch {
      clearDeadline(limit)
      reply(request.exchange, error)
    }
  }

  var runTimeout: ErrorReply {
    ErrorReply(504, "RUN_TIMEOUT", "the run took longer than \(dockfile.streaming.maxRunSeconds) seconds")
  }

  private func checkRoom() throws(ErrorReply) {
    guard isServing else { throw ErrorReply(503, "SHUTTING_DOWN", "the server is stopping", retryAfter: 5) }
    guard hasRoomForAgent else {
      throw ErrorReply(
        429, "TOO_MANY_RUNS", "\(dockfile.runtime.maxConcurrentRuns) agents are running, as many as may",
        retryAfter: 1)
    }
  }

  /// Refuses a payload that takes that many bytes while so many are held.
  private func checkRoom(forPayload bytes: Int) throws(ErrorReply) {
    let most = dockfile.runtime.maxPayloadBytes
    guard payloadBytes + bytes > most else { return }
    if bytes > most {
      throw ErrorReply(
        413, "PAYLOAD_TOO_LARGE",
        "body: it takes \(bytes) bytes of memory; at most \(most) are taken (runtime.max_payload_bytes)")
    }
    throw ErrorReply(
      429, "TOO_MANY_RUNS",
      "the payloads of running agents take \(payloadBytes) bytes; with this one they would be more than "
        + "\(most), as many as may", retryAfter: 1)
  }

  // MARK: Starting agents

  /// A request that starts an agent, before its payload is known.
  private func begin(_ exchange: Exchange, _ endpoint: Endpoint) throws(ErrorReply) {
    try site.checkOrigin(exchange)
    // A request that repeats another starts no agent.
    if endpoint != .createRun || exchange.header("Idempotency-Key") == nil { try checkRoom() }
    if let input = try payload(exchange, endpoint) { try execute(exchange, endpoint, input) }
  }

  /// - Parameter limit: the time limit, where it runs since the request was accepted some time ago.
  private func execute(
    _ exchange: Exchange, _ endpoint: Endpoint, _ input: Payload, _ limit: DeadlineQueues.Token? = nil
  ) throws(ErrorReply) {
    if endpoint == .createRun { return try createRun(exchange, input, limit) }
    try checkRoom()
    try checkRoom(forPayload: input.bytes)
    let encoder = EventEncoder(identity: .request(requestID(exchange)))
    exchange.identity = encoder.identity
    if endpoint == .invoke {
      exchange.dropLargeBody()
      let sink = InvokeReply(exchange, self)
      sink.start(start(encoder, hasEvents: false, input: input, sink), limit)
    } else {
      let sink = DirectStream(exchange, self, encoder)
      sink.start(start(encoder, hasEvents: true, input: input, sink), limit)
    }
  }

  private func requestID(_ exchange: Exchange) -> String {
    if let id = exchange.header("X-Request-Id"), id.isClientID { return id }
    return makeID()
  }

  // MARK: Pattern B

  private func validID(_ exchange: Exchange, _ encoded: String?) throws(ErrorReply) -> String {
    let encoded = encoded ?? ""
    let id = Query.decode(encoded) ?? encoded
    guard id.isClientID else {
      throw ErrorReply(400, "VALIDATION_ERROR", "run_id: \(quoted(id)) \(Self.idRule)")
    }
    exchange.identity = .run(id)
    return id
  }

  private static func unknownRun(_ id: String) -> ErrorReply {
    ErrorReply(404, "NOT_FOUND", "there is no run \"\(id)\"; it never was, or was kept long enough")
  }

  /// Replies with what a backend answered, unless the client has left meanwhile.
  private func deferred<Value>(
    _ exchange: Exchange, _ body: @escaping (Value) throws(ErrorReply) -> Void
  ) -> (Result<Value, ErrorReply>) -> Void {
    { [unowned self] result in
      guard exchange.isOpen else { return }
      do throws(ErrorReply) { try body(result.get()) } catch { reply(exchange, error) }
    }
  }

  private static let idRule = "is not an id: a letter or digit, then up to 127 letters, digits, _ and -"

  /// The key that makes a `POST /runs` safe to repeat, and what its body looks like.
  private func idempotencyKey(_ exchange: Exchange) throws(ErrorReply) -> IdempotencyKey? {
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
    return exchange.withBody { IdempotencyKey(text, body: $0) }
  }

  private func createRun(
    _ exchange: Exchange, _ input: Payload, _ accepted: DeadlineQueues.Token?
  ) throws(ErrorReply) {
    var hasReserved = false
    let id = try clientID(exchange)
    exchange.identity = id.map { .run($0) }
    let begin: (Run, DeadlineQueues.Token) -> Void = { [unowned self] run, limit in
      run.start(start(run.encoder, hasEvents: true, input: input, run), limit)
      metrics.run(.accepted)
    }
    let request = RunRequest(
      id: id, key: try idempotencyKey(exchange), payloadBytes: input.bytes,
      checkRoom: { [unowned self] () throws(ErrorReply) in
        try checkRoom()
        try checkRoom(forPayload: input.bytes)
        runsToStart += 1
        payloadBytes += input.bytes
        hasReserved = true
      }, start: { [unowned self] run in begin(run, setTimeLimit(unstarted)) })
    exchange.dropLargeBody()
    let limit = accepted.map { handOn($0, to: unstarted) } ?? setTimeLimit(unstarted)
    backend.admit(request) { [unowned self] result in
      if hasReserved {
        runsToStart -= 1
        payloadBytes -= input.bytes
      }
      do throws(ErrorReply) {
        switch try result.get() {
        case .repeated(let id, let createdAt):
          clearDeadline(limit)
          replyCreated(exchange, id, createdAt)
        case .new(let run):
          // Also when the client has left: the run exists, and its client may look for it under its own id or key.
          begin(run, limit)
          replyCreated(exchange, run.id, run.createdAt)
        }
      } catch {
        clearDeadline(limit)
        reply(exchange, error)
      }
    }
  }

  private func clientID(_ exchange: Exchange) throws(ErrorReply) -> String? {
    guard let id = Query(exchange.query)["run_id"] else { return nil }
    guard dockfile.streaming.allowClientIDs else {
      throw ErrorReply(
        400, "VALIDATION_ERROR", "run_id: this server chooses the ids (streaming.allow_client_ids is false)")
    }
    guard id.isClientID else {
      throw ErrorReply(400, "VALIDATION_ERROR", "run_id: \(quoted(id)) \(Self.idRule)")
    }
    return id
  }

  private func replyCreated(_ exchange: Exchange, _ id: String, _ createdAt: Int64) {
    exchange.identity = .run(id)
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"run_id\":\"")
    body.writer.append(id)
    body.writer.append("\",\"status\":\"accepted\",\"events_url\":\"/runs/")
    body.writer.append(id)
    body.writer.append("/events\",\"created_at\":\"")
    body.writer.append(timestamp: createdAt)
    body.writer.append("\"}")
    reply(exchange, 202, headers: [("Location", "/runs/\(id)")], body: body.writer.bytes)
  }

  private func listRuns(_ exchange: Exchange) throws(ErrorReply) {
    let query = Query(exchange.query)
    let limit = try query.int(
      "limit", in: 1...Limits.runsPageMax, "an integer from 1 to \(Limits.runsPageMax)")
    var status: RunStatus?
    if let word = query["status"] {
      status = RunStatus(rawValue: word)
      guard status != nil else {
        let known = RunStatus.allCases.map(\.rawValue).joined(separator: ", ")
        throw ErrorReply(400, "VALIDATION_ERROR", "status: \(quoted(word)) is none of \(known)")
      }
    }
    let page = RunPageQuery(status: status, limit: limit ?? Limits.runsPageDefault, cursor: query["cursor"])
    backend.page(page, deferred(exchange) { [unowned self] page in reply(exchange, page) })
  }

  private func reply(_ exchange: Exchange, _ page: RunPage) {
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"runs\":[")
    for (index, record) in page.records.enumerated() {
      if index > 0 { body.writer.append(",") }
      record.write(to: &body.writer)
    }
    body.writer.append("],\"next_cursor\":")
    body.writer.append(page.next.map { "\"\($0)\"" } ?? "null")
    body.writer.append("}")
    reply(exchange, 200, body: body.writer.bytes)
  }

  private func showRun(_ exchange: Exchange, _ id: String) {
    backend.record(
      id,
      deferred(exchange) { [unowned self] (record: RunRecord?) throws(ErrorReply) in
        guard let record else { throw Self.unknownRun(id) }
        body.writer.removeAll(keepingAtMost: 256 << 10)
        record.write(to: &body.writer)
        reply(exchange, 200, body: body.writer.bytes)
      })
  }

  private func cancelRun(_ exchange: Exchange, _ id: String) throws(ErrorReply) {
    let reason = Query(exchange.query)["reason"]
    if let reason, reason.unicodeScalars.count > Limits.cancelReasonCharactersMax {
      throw ErrorReply(
        400, "VALIDATION_ERROR",
        "reason: \(reason.unicodeScalars.count) characters; at most \(Limits.cancelReasonCharactersMax) are allowed"
      )
    }
    backend.cancel(
      id, reason: reason,
      deferred(exchange) { [unowned self] (outcome: CancelOutcome) throws(ErrorReply) in
        switch outcome {
        case .unknown: throw Self.unknownRun(id)
        case .finished(let status):
          throw ErrorReply(409, "RUN_FINISHED", "run \"\(id)\" is \(status.rawValue) already")
        case .cancelled:
          body.writer.removeAll(keepingAtMost: 256 << 10)
          body.writer.append("{\"run_id\":\"")
          body.writer.append(id)
          body.writer.append("\",\"status\":\"cancelled\"}")
          reply(exchange, 200, body: body.writer.bytes)
        }
      })
  }

  private func subscribe(_ exchange: Exchange, _ id: String) throws(ErrorReply) {
    let query = Query(exchange.query)
    let seconds = try query.int("timeout", in: 1...3600, "a number of seconds from 1 to 3600")
    let from = try query.int("from_sequence", in: 0...Int.max - 1, "an integer of 0 or more")
    let lastSeen = exchange.header("Last-Event-ID").flatMap(Subscription.lastSeen)
    let start = Subscription.Start(fromSequence: from, lastEventID: lastSeen)
    let filter = try query["events"].map(Subscription.filter)
    backend.feed(
      id,
      deferred(exchange) { [unowned self] (feed: RunFeed?) throws(ErrorReply) in
        guard let feed else { throw Self.unknownRun(id) }
        if Subscription.isOver(feed, from: start, filter) {
          return reply(
            exchange, 204, headers: [("Cache-Control", "no-cache, no-transform")], contentType: nil)
        }
        guard feed.subscribers.count < dockfile.streaming.maxSubscribersPerRun else {
          throw ErrorReply(
            429, "TOO_MANY_SUBSCRIBERS",
            "run \"\(id)\" has \(feed.subscribers.count) subscribers, as many as may", retryAfter: 1)
        }
        _ = Subscriber(
          exchange, self, feed, from: start, filter: filter,
          seconds: seconds ?? dockfile.streaming.defaultTimeoutSeconds)
      })
  }
}
