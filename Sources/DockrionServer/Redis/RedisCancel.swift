import DockrionCore
import DockrionLoop

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
    _ backend: RedisBackend, _ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void
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
      backend.watch(CancelWatch(self, backend, then))
    }
    connection.run(
      .cancel, keys: [backend.keys.run(id).record], count: 1, arguments: { $0.add(message) }, took)
  }
}

/// The answer to a cancel of a run that executes here, which waits for Redis to take the end, but not for ever.
final class CancelWait: DeadlineTarget {
  private var then: ((Result<CancelOutcome, BackendProblem>) -> Void)?

  init(_ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void) { self.then = then }

  var isOutstanding: Bool { then != nil }

  /// Takes the right to answer; nil when it has been taken.
  func take() -> ((Result<CancelOutcome, BackendProblem>) -> Void)? {
    defer { then = nil }
    return then
  }

  func deadlinePassed(_ tag: UInt8) {
    take()?(.failure(.unavailable("the agent was told to stop; its end is stored when Redis takes it")))
  }
}
