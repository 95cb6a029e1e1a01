import DockrionCore
import DockrionLoop

/// The routes of runs that exist: the list, one run, its cancel, its events.
final class RunRoutes {
  private let board: AgentBoard
  private let book: StreamBook
  private let replies: Replies
  private let backend: any RunBackend
  private let subscribersMax: Int
  private let subscriptionSeconds: Int

  /// - Parameters:
  ///   - subscribersMax: subscribers of one run.
  ///   - subscriptionSeconds: how long a subscription lasts when its client does not say.
  init(
    _ board: AgentBoard, _ book: StreamBook, _ replies: Replies, _ backend: any RunBackend,
    subscribersMax: Int, subscriptionSeconds: Int
  ) {
    self.board = board
    self.book = book
    self.replies = replies
    self.backend = backend
    self.subscribersMax = subscribersMax
    self.subscriptionSeconds = subscriptionSeconds
  }

  /// Replies with what a backend answered, unless the client has left meanwhile.
  private func deferred<Value>(
    _ exchange: Exchange, _ body: @escaping (Value) throws(ErrorReply) -> Void
  ) -> (Result<Value, BackendProblem>) -> Void {
    { [self] result in
      guard exchange.isOpen else { return }
      do throws(ErrorReply) {
        switch result {
        case .success(let value): try body(value)
        case .failure(let problem): throw ErrorReply(problem)
        }
      } catch {
        replies.send(exchange, error)
      }
    }
  }

  private static func unknownRun(_ id: String) -> ErrorReply {
    ErrorReply(404, "NOT_FOUND", "there is no run \"\(id)\"; it never was, or was kept long enough")
  }

  /// Goes on with a run that the request may know of: below a prefix other agents' runs do not exist.
  private func find(
    _ request: RouteRequest, _ id: String, _ body: @escaping () throws(ErrorReply) -> Void
  ) throws(ErrorReply) {
    guard request.isPrefixed else { return try body() }
    backend.record(
      id,
      deferred(request.exchange) { (record: RunRecord?) throws(ErrorReply) in
        guard record?.agentName == request.agent.name else { throw Self.unknownRun(id) }
        try body()
      })
  }

  func list(_ request: RouteRequest) throws(ErrorReply) {
    let exchange = request.exchange
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
    let page = RunPageQuery(
      status: status, agent: try agentName(request, query), limit: limit ?? Limits.runsPageDefault,
      cursor: query["cursor"])
    backend.page(page, deferred(exchange) { [self] page in reply(exchange, page) })
  }

  /// Whose runs are listed; nil for all. An instance may list the runs of agents that only others serve.
  private func agentName(_ request: RouteRequest, _ query: Query) throws(ErrorReply) -> String? {
    guard let name = query["agent"] else { return request.isPrefixed ? request.agent.name : nil }
    guard name.isAgentName else {
      throw ErrorReply(
        400, "VALIDATION_ERROR",
        "agent: \(quoted(name)) is not an agent's name: a letter or digit, then up to 127 letters, digits, _, . and -"
      )
    }
    guard request.isPrefixed, name != request.agent.name else { return name }
    throw ErrorReply(
      400, "VALIDATION_ERROR",
      "agent: \(quoted(name)) has no runs below \(request.prefix); ask \(request.prefix)/runs without it")
  }

  private func reply(_ exchange: Exchange, _ page: RunPage) {
    replies.send(exchange, 200) { out in
      out.append("{\"runs\":[")
      for (index, record) in page.records.enumerated() {
        if index > 0 { out.append(",") }
        record.write(to: &out)
      }
      out.append("],\"next_cursor\":")
      out.append(page.next.map { "\"\($0)\"" } ?? "null")
      out.append("}")
    }
  }

  func show(_ request: RouteRequest) throws(ErrorReply) {
    let (id, exchange) = (try request.runID(), request.exchange)
    backend.record(
      id,
      deferred(exchange) { [self] (record: RunRecord?) throws(ErrorReply) in
        guard let record, !request.isPrefixed || record.agentName == request.agent.name else {
          throw Self.unknownRun(id)
        }
        replies.send(exchange, 200) { record.write(to: &$0) }
      })
  }

  func cancel(_ request: RouteRequest) throws(ErrorReply) {
    let (id, exchange) = (try request.runID(), request.exchange)
    let reason = Query(exchange.query)["reason"]
    if let reason, reason.unicodeScalars.count > Limits.cancelReasonCharactersMax {
      throw ErrorReply(
        400, "VALIDATION_ERROR",
        "reason: \(reason.unicodeScalars.count) characters; at most \(Limits.cancelReasonCharactersMax) are allowed"
      )
    }
    try find(request, id) { [self] in
      backend.cancel(
        id, reason: reason,
        deferred(exchange) { [self] (outcome: CancelOutcome) throws(ErrorReply) in
          switch outcome {
          case .unknown: throw Self.unknownRun(id)
          case .finished(let status):
            throw ErrorReply(409, "RUN_FINISHED", "run \"\(id)\" is \(status.rawValue) already")
          case .cancelled:
            replies.send(exchange, 200) { out in
              out.append("{\"run_id\":\"")
              out.append(id)
              out.append("\",\"status\":\"cancelled\"}")
            }
          }
        })
    }
  }

  func events(_ request: RouteRequest) throws(ErrorReply) {
    let (id, exchange) = (try request.runID(), request.exchange)
    let query = Query(exchange.query)
    let seconds = try query.int("timeout", in: 1...3600, "a number of seconds from 1 to 3600")
    let from = try query.int("from_sequence", in: 0...Int.max - 1, "an integer of 0 or more")
    let lastSeen = exchange.header("Last-Event-ID").flatMap(Subscription.lastSeen)
    let start = Subscription.Start(fromSequence: from, lastEventID: lastSeen)
    let filter = try query["events"].map(Subscription.filter)
    try find(request, id) { [self] in
      backend.feed(
        id,
        deferred(exchange) { [self] (feed: RunFeed?) throws(ErrorReply) in
          guard let feed else { throw Self.unknownRun(id) }
          if Subscription.isOver(feed, from: start, filter) {
            return replies.send(exchange, 204, headers: [("Cache-Control", "no-cache, no-transform")])
          }
          guard feed.subscribers.count < subscribersMax else {
            throw ErrorReply(
              429, "TOO_MANY_SUBSCRIBERS",
              "run \"\(id)\" has \(feed.subscribers.count) subscribers, as many as may", retryAfter: 1)
          }
          _ = Subscriber(
            exchange, book, feed, of: request.agent, from: start, filter: filter,
            seconds: seconds ?? subscriptionSeconds)
        })
    }
  }
}
