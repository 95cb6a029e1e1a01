import DockrionCore

/// One page of `GET /runs`: ids from the sorted set, newest first, and their records, until the page is full.
final class RedisRunPage {
  private static let idsAtOnce = 32
  /// Runs that are looked at for one page, when few of them have the status that is asked for.
  private static let looksMax = 5000

  private let query: RunPageQuery
  private let backend: RedisBackend
  private let then: (Result<RunPage, BackendProblem>) -> Void
  private var page = RunPage()
  private var looks = 0
  private var isFull = false
  private var position: (score: Int64, id: String)?

  /// Nil when the cursor is none.
  init?(
    _ query: RunPageQuery, _ backend: RedisBackend,
    _ then: @escaping (Result<RunPage, BackendProblem>) -> Void
  ) {
    self.query = query
    self.backend = backend
    self.then = then
    guard let cursor = query.cursor else { return }
    let parts = cursor.split(separator: ".", maxSplits: 1).map(String.init)
    guard parts.count == 2, let score = Int64(parts[0]), parts[1].isClientID else { return nil }
    position = (score, parts[1])
  }

  func begin() { next(skipping: 0) }

  private func next(skipping offset: Int) {
    guard let connection = backend.anyConnection else {
      return then(.failure(.unavailable("Redis is not reachable")))
    }
    let command = RedisCommand(
      "ZREVRANGEBYSCORE", backend.keys.runs, position.map { "\($0.score)" } ?? "+inf", "-inf", "WITHSCORES",
      "LIMIT",
      "\(offset)", "\(Self.idsAtOnce)")
    connection.send(command) { [self] reply in
      guard let words = reply.array?.compactMap(\.text) else {
        return then(.failure(.unavailable(reply.problem ?? "Redis gives an answer that makes no sense")))
      }
      var found: [(score: Int64, id: String)] = []
      for index in stride(from: 0, to: words.count - 1, by: 2) {
        found.append((Int64(Double(words[index + 1]) ?? 0), words[index]))
      }
      let isLast = found.count < Self.idsAtOnce
      // Runs of the same microsecond stand in the reverse order of their ids; those up to the position were shown.
      let new = found.filter { entry in
        guard let position else { return true }
        return entry.score < position.score || (entry.score == position.score && entry.id < position.id)
      }
      if new.isEmpty, !isLast { return next(skipping: offset + Self.idsAtOnce) }
      read(new[...], isLast: isLast)
    }
  }

  private func read(_ entries: ArraySlice<(score: Int64, id: String)>, isLast: Bool) {
    guard !entries.isEmpty else {
      if isLast || looks >= Self.looksMax { return end(isLast: isLast) }
      return next(skipping: 0)
    }
    // Eight at a time: a page ends when it has become large, and outputs may be.
    let group = entries.prefix(8)
    var left = group.count
    var records: [String: RunRecord] = [:]
    var problem: BackendProblem?
    for entry in group {
      backend.record(entry.id) { [self] result in
        switch result {
        case .success(let record): records[entry.id] = record
        case .failure(let error): problem = error
        }
        if case .success(nil) = result {
          // It is not kept any more.
          backend.connection(for: entry.id).send(RedisCommand("ZREM", backend.keys.runs, entry.id)) { _ in }
        }
        left -= 1
        guard left == 0 else { return }
        if let problem { return then(.failure(problem)) }
        take(group, records, rest: entries.dropFirst(group.count), isLast: isLast)
      }
    }
  }

  private func take(
    _ group: ArraySlice<(score: Int64, id: String)>, _ records: [String: RunRecord],
    rest: ArraySlice<(score: Int64, id: String)>, isLast: Bool
  ) {
    for entry in group {
      looks += 1
      if let record = records[entry.id], query.matches(record.status, record.agentName) {
        if page.records.count == query.limit || isFull { return end(isLast: false) }
        isFull = !page.add(record)
      }
      position = entry
    }
    read(rest, isLast: isLast)
  }

  private func end(isLast: Bool) {
    page.next = isLast ? nil : position.map { "\($0.score).\($0.id)" }
    then(.success(page))
  }
}
