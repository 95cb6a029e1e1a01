import DockrionCore

/// The wish to cancel a run that another instance executes: `RUN_ID TOKEN` or `RUN_ID TOKEN REASON`, to its owner.
struct RedisCancel {
  let id: String
  /// Stands in the record of a run that this wish has ended: of many wishes one comes true.
  let token: String
  let reason: String?

  init(id: String, token: String, reason: String?) {
    self.id = id
    self.token = token
    self.reason = reason
  }

  init(message: [UInt8]) {
    let text = String(decoding: message, as: UTF8.self)
    let parts = text.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    id = parts[0]
    token = parts.count > 1 ? parts[1] : ""
    reason = parts.count > 2 ? parts[2] : nil
  }

  var message: String { "\(id) \(token)" + (reason.map { " \($0)" } ?? "") }

  /// Leaves the wish in Redis, tells the owner, and waits for the run's end.
  func send(
    _ backend: RedisBackend, _ deadlines: DeadlineQueues,
    _ then: @escaping (Result<CancelOutcome, ErrorReply>) -> Void
  ) {
    let connection = backend.connection(for: id)
    let took: (RedisReply) -> Void = { [unowned backend] reply in
      if let problem = reply.problem { return then(.failure(.unavailable(problem))) }
      guard let parts = reply.array, parts.count == 2, let word = parts[0].text,
        let status = RunStatus(rawValue: word), let owner = parts[1].text
      else { return then(.success(.unknown)) }
      if status.isFinal { return then(.success(.finished(status))) }
      let wishes = backend.keys.cancels(owner)
      connection.send(RedisCommand("SADD", wishes, id)) { _ in }
      connection.send(RedisCommand("EXPIRE", wishes, "\(backend.lifetimeSeconds)")) { _ in }
      connection.send(RedisCommand("PUBLISH", backend.keys.inbox(owner), message)) { _ in }
      CancelWatch(self, backend, deadlines, then).look()
    }
    connection.run(
      .cancel, keys: [backend.keys.run(id).record], count: 1, arguments: { $0.add(message) }, took)
  }
}

/// The answer to a cancel of a run that executes here, which waits for Redis to take the end, but not for ever.
final class CancelWait: DeadlineTarget {
  private var then: ((Result<CancelOutcome, ErrorReply>) -> Void)?

  init(_ then: @escaping (Result<CancelOutcome, ErrorReply>) -> Void) { self.then = then }

  var isOutstanding: Bool { then != nil }

  /// Takes the right to answer; nil when it has been taken.
  func take() -> ((Result<CancelOutcome, ErrorReply>) -> Void)? {
    defer { then = nil }
    return then
  }

  func deadlinePassed(_ tag: UInt8) {
    take()?(.failure(.unavailable("the agent was told to stop; its end is stored when Redis takes it")))
  }
}

/// Looks at a run until it has ended.
private final class CancelWatch: DeadlineTarget {
  private static let intervalNanoseconds: Int64 = 5_000_000

  private let wish: RedisCancel
  private unowned let backend: RedisBackend
  private let deadlines: DeadlineQueues
  private let then: (Result<CancelOutcome, ErrorReply>) -> Void
  private let givesUpAt: Int64

  init(
    _ wish: RedisCancel, _ backend: RedisBackend, _ deadlines: DeadlineQueues,
    _ then: @escaping (Result<CancelOutcome, ErrorReply>) -> Void
  ) {
    self.wish = wish
    self.backend = backend
    self.deadlines = deadlines
    self.then = then
    // By then the owner has answered, or its runs have been ended for it.
    givesUpAt = Clock.monotonicNanoseconds() + Int64(backend.settings.leaseSeconds) * 1_500_000_000
  }

  func deadlinePassed(_ tag: UInt8) { look() }

  func look() {
    let command = RedisCommand("HMGET", backend.keys.run(wish.id).record, "status", "cancelled_by")
    backend.connection(for: wish.id).send(command) { [self] reply in
      if let problem = reply.problem { return then(.failure(.unavailable(problem))) }
      guard let parts = reply.array, let word = parts.first?.text, let status = RunStatus(rawValue: word)
      else {
        return then(.success(.unknown))
      }
      if status.isFinal {
        return then(.success(parts.last?.text == wish.token ? .cancelled : .finished(status)))
      }
      let now = Clock.monotonicNanoseconds()
      guard now < givesUpAt else {
        return then(.failure(.unavailable("the run's server has not answered; it is asked again")))
      }
      _ = deadlines.set(after: Self.intervalNanoseconds, now: now, self)
    }
  }
}
