import DockrionCore

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
    try exchange.checkFraming()
    guard let (index, runID) = router.match(exchange.path) else {
      throw ErrorReply(404, "NOT_FOUND", "there is nothing at \(exchange.path.prefix(120))")
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
    if endpoint.needsKey { try auth.check(exchange) }
    switch endpoint {
    case .invoke: try invoke(exchange)
    case .invokeStream: try invokeStream(exchange)
    case .createRun: try createRun(exchange)
    case .listRuns: try listRuns(exchange)
    case .run: try showRun(exchange, run(runID))
    case .cancelRun: try cancelRun(exchange, run(runID))
    case .runEvents: try subscribe(exchange, run(runID))
    case .health, .ready, .metrics, .info, .schema, .openAPI, .welcome: try operate(exchange, endpoint)
    }
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
    body.writer.append("}")
    if error.closes { exchange.closeAfterReply() }
    reply(exchange, error.status, headers: error.headers, body: body.writer.bytes)
  }

  // MARK: Payloads

  private func payload(_ exchange: Exchange) throws(ErrorReply) -> JSONObject {
    if let type = exchange.header("Content-Type") {
      // Nearly always it is these bytes; taking characters apart costs as much as parsing a small body.
      guard
        type == "application/json"
          || type.prefix(while: { $0 != ";" && $0 != " " }).lowercased() == "application/json"
      else {
        throw ErrorReply(
          415, "UNSUPPORTED_MEDIA_TYPE", "Content-Type: \"\(type.prefix(60))\" is not application/json")
      }
    }
    let count = exchange.withBody { $0.count }
    guard count <= dockfile.runtime.maxBodyBytes else {
      throw ErrorReply(
        413, "PAYLOAD_TOO_LARGE", "body: \(count) bytes; at most \(dockfile.runtime.maxBodyBytes) are taken")
    }
    let parsed = exchange.withBody { bytes in
      Result { () throws(JSONParseError) in try JSONObject(parsing: bytes) }
    }
    guard case .success(let object) = parsed else {
      guard case .failure(let error) = parsed else { return [:] }
      throw ErrorReply(400, "VALIDATION_ERROR", "body: a JSON object is needed: \(error)")
    }
    if let violation = (dockfile.inputSchema ?? agent.inputSchema)?.check(object) {
      throw ErrorReply(422, "VALIDATION_ERROR", "the payload does not fit the input schema: \(violation)")
    }
    return object
  }

  private func checkRoom() throws(ErrorReply) {
    guard isServing else { throw ErrorReply(503, "SHUTTING_DOWN", "the server is stopping", retryAfter: 5) }
    guard hasRoomForAgent else {
      throw ErrorReply(
        429, "TOO_MANY_RUNS", "\(dockfile.runtime.maxConcurrentRuns) agents are running, as many as may",
        retryAfter: 1)
    }
  }

  // MARK: /invoke and Pattern A

  private func invoke(_ exchange: Exchange) throws(ErrorReply) {
    try checkRoom()
    let input = try payload(exchange)
    let sink = InvokeReply(exchange, self)
    let encoder = EventEncoder(identity: .request(requestID(exchange)))
    sink.start(start(encoder, hasEvents: false, input: input, sink))
  }

  private func invokeStream(_ exchange: Exchange) throws(ErrorReply) {
    try checkRoom()
    let input = try payload(exchange)
    let encoder = EventEncoder(identity: .request(requestID(exchange)))
    let sink = DirectStream(exchange, self, encoder)
    sink.start(start(encoder, hasEvents: true, input: input, sink))
  }

  private func requestID(_ exchange: Exchange) -> String {
    if let id = exchange.header("X-Request-Id"), id.isClientID { return id }
    return makeID()
  }

  // MARK: Pattern B

  private func run(_ encodedID: String?) throws(ErrorReply) -> Run {
    let id = Query.decode(encodedID ?? "")
    guard id.isClientID else {
      throw ErrorReply(400, "VALIDATION_ERROR", "run_id: \"\(id.prefix(60))\" \(Self.idRule)")
    }
    guard let run = store[id] else {
      throw ErrorReply(404, "NOT_FOUND", "there is no run \"\(id)\"; it never was, or was kept long enough")
    }
    return run
  }

  private static let idRule = "is not an id: a letter or digit, then up to 127 letters, digits, _ and -"

  private func createRun(_ exchange: Exchange) throws(ErrorReply) {
    var hasher = Hasher()
    var count = 0
    exchange.withBody {
      hasher.combine(bytes: $0)
      count = $0.count
    }
    let hash = hasher.finalize()
    let key = exchange.header("Idempotency-Key")
    if let key {
      guard !key.isEmpty, key.utf8.count <= Limits.idempotencyKeyBytesMax else {
        throw ErrorReply(
          400, "VALIDATION_ERROR",
          "Idempotency-Key: \(key.utf8.count) bytes; 1…\(Limits.idempotencyKeyBytesMax) are allowed")
      }
      if let entry = store.entry(key: key), let run = store[entry.runID] {
        guard entry.bodyHash == hash, entry.bodyCount == count else {
          throw ErrorReply(
            409, "IDEMPOTENCY_KEY_REUSED",
            "Idempotency-Key: this key made run \"\(run.id)\" with another body")
        }
        return replyCreated(exchange, run)
      }
    }
    try checkRoom()
    let id = try runID(exchange)
    let input = try payload(exchange)
    let run = store.add(id: id, key: key, bodyHash: hash, bodyCount: count)
    run.start(start(EventEncoder(identity: .run(id)), hasEvents: true, input: input, run))
    metrics.run(.accepted)
    replyCreated(exchange, run)
  }

  private func runID(_ exchange: Exchange) throws(ErrorReply) -> String {
    guard let id = Query(exchange.query)["run_id"] else { return makeID() }
    guard dockfile.streaming.allowClientIDs else {
      throw ErrorReply(
        400, "VALIDATION_ERROR", "run_id: this server chooses the ids (streaming.allow_client_ids is false)")
    }
    guard id.isClientID else {
      throw ErrorReply(400, "VALIDATION_ERROR", "run_id: \"\(id.prefix(60))\" \(Self.idRule)")
    }
    guard store[id] == nil else { throw ErrorReply(409, "RUN_EXISTS", "run_id: \"\(id)\" is taken") }
    return id
  }

  private func replyCreated(_ exchange: Exchange, _ run: Run) {
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"run_id\":\"")
    body.writer.append(run.id)
    body.writer.append("\",\"status\":\"accepted\",\"events_url\":\"/runs/")
    body.writer.append(run.id)
    body.writer.append("/events\",\"created_at\":\"")
    body.writer.append(timestamp: run.createdAt)
    body.writer.append("\"}")
    reply(exchange, 202, headers: [("Location", "/runs/\(run.id)")], body: body.writer.bytes)
  }

  private func listRuns(_ exchange: Exchange) throws(ErrorReply) {
    let query = Query(exchange.query)
    let limit = try query.int(
      "limit", in: 1...Limits.runsPageMax, "an integer from 1 to \(Limits.runsPageMax)")
    let cursor = try query.int("cursor", in: 0...Int.max, "a cursor that this server gave")
    var status: RunStatus?
    if let word = query["status"] {
      status = RunStatus(rawValue: word)
      guard status != nil else {
        let known = RunStatus.allCases.map(\.rawValue).joined(separator: ", ")
        throw ErrorReply(400, "VALIDATION_ERROR", "status: \"\(word.prefix(60))\" is none of \(known)")
      }
    }
    let page = store.page(status: status, limit: limit ?? Limits.runsPageDefault, below: cursor)
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"runs\":[")
    var next = page.next
    for (index, run) in page.runs.enumerated() {
      if index > 0 { body.writer.append(",") }
      run.write(to: &body.writer)
      if body.writer.count > Limits.runsPageBytesMax, index + 1 < page.runs.count {
        next = run.ordinal
        break
      }
    }
    body.writer.append("],\"next_cursor\":")
    body.writer.append(next.map { "\"\($0)\"" } ?? "null")
    body.writer.append("}")
    reply(exchange, 200, body: body.writer.bytes)
  }

  private func showRun(_ exchange: Exchange, _ run: Run) {
    body.writer.removeAll(keepingAtMost: 256 << 10)
    run.write(to: &body.writer)
    reply(exchange, 200, body: body.writer.bytes)
  }

  private func cancelRun(_ exchange: Exchange, _ run: Run) throws(ErrorReply) {
    let reason = Query(exchange.query)["reason"]
    if let reason, reason.utf8.count > Limits.cancelReasonBytesMax {
      throw ErrorReply(
        400, "VALIDATION_ERROR",
        "reason: \(reason.utf8.count) bytes; at most \(Limits.cancelReasonBytesMax) are allowed")
    }
    guard run.cancelByClient(reason: reason) else {
      throw ErrorReply(409, "RUN_FINISHED", "run \"\(run.id)\" is \(run.status.rawValue) already")
    }
    body.writer.removeAll(keepingAtMost: 256 << 10)
    body.writer.append("{\"run_id\":\"")
    body.writer.append(run.id)
    body.writer.append("\",\"status\":\"cancelled\"}")
    reply(exchange, 200, body: body.writer.bytes)
  }

  private func subscribe(_ exchange: Exchange, _ run: Run) throws(ErrorReply) {
    let query = Query(exchange.query)
    let seconds = try query.int("timeout", in: 1...3600, "a number of seconds from 1 to 3600")
    let from = try query.int("from_sequence", in: 0...Int.max - 1, "an integer of 0 or more")
    let lastSeen = exchange.header("Last-Event-ID").flatMap { Int($0) }.map { max(0, min($0, Int.max - 1)) }
    let cursor = Subscription.start(fromSequence: from, lastEventID: lastSeen)
    var filter: EventsFilter?
    if let words = query["events"] { filter = try Subscription.filter(words) }
    if Subscription.isOver(run, from: cursor, filter) {
      return reply(exchange, 204, headers: [("Cache-Control", "no-cache, no-transform")], contentType: nil)
    }
    guard run.subscriberCount < dockfile.streaming.maxSubscribersPerRun else {
      throw ErrorReply(
        429, "TOO_MANY_SUBSCRIBERS",
        "run \"\(run.id)\" has \(run.subscriberCount) subscribers, as many as may", retryAfter: 1)
    }
    _ = Subscriber(
      exchange, self, run, from: cursor, filter: filter,
      seconds: seconds ?? dockfile.streaming.defaultTimeoutSeconds)
  }
}

/// What a subscription's request says, apart from any connection.
enum Subscription {
  /// The first sequence to deliver. A browser repeats its query when it reconnects, so a later event id wins.
  static func start(fromSequence: Int?, lastEventID: Int?) -> Int {
    switch (fromSequence, lastEventID) {
    case (let from?, let last?): last >= from ? last + 1 : from
    case (let from?, nil): from
    case (nil, let last?): last + 1
    case (nil, nil): 1
    }
  }

  /// `?events=`: a preset or words separated by commas.
  static func filter(_ text: String) throws(ErrorReply) -> EventsFilter {
    if let preset = EventsFilter(preset: text) { return preset }
    do {
      return try EventsFilter(words: text.split(separator: ",").map(String.init))
    } catch {
      throw ErrorReply(400, "VALIDATION_ERROR", "events: \(error)")
    }
  }

  /// True when a run has ended and nothing is left to deliver.
  static func isOver(_ run: Run, from cursor: Int, _ filter: EventsFilter?) -> Bool {
    guard run.status.isFinal else { return false }
    let cursor = max(1, cursor)
    if cursor > run.log.lastSequence { return true }
    guard let filter, cursor >= run.log.firstSequence else { return false }
    return !run.log.hasEvent(from: cursor, passing: filter)
  }
}
