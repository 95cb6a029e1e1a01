import DockrionCore
import DockrionLoop

/// Waits for a run's end: for the message on its channel that tells it, and looks once a second in case that was lost.
final class CancelWatch: DeadlineTarget {
  let wish: RedisCancel
  private unowned let backend: RedisBackend
  private let then: (Result<CancelOutcome, BackendProblem>) -> Void
  private let givesUpAt: Int64
  private var deadline: DeadlineQueues.Token?
  private var isLooking = false
  private var looksAgain = false
  private var isOver = false

  init(
    _ wish: RedisCancel, _ backend: RedisBackend,
    _ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void
  ) {
    self.wish = wish
    self.backend = backend
    self.then = then
    // By then the owner has answered, or its runs have been ended for it.
    givesUpAt = Clock.monotonicNanoseconds() + Int64(backend.settings.leaseSeconds) * 1_500_000_000
    deadline = backend.setDeadline(seconds: 1, self)
  }

  func deadlinePassed(_ tag: UInt8) {
    deadline = backend.setDeadline(seconds: 1, self)
    look()
  }

  /// Takes a message of the run's channel.
  func heard(_ message: [UInt8]) {
    var hasEnded = false
    StoredEvents.forEach(message) { event in
      hasEnded = event.kind.isTerminal
      return !hasEnded
    }
    if hasEnded { look() }
  }

  func look() {
    guard !isOver else { return }
    guard !isLooking else {
      looksAgain = true
      return
    }
    isLooking = true
    let command = RedisCommand("HMGET", backend.keys.run(wish.id).record, "status", "cancelled_by")
    backend.connection(for: wish.id).send(command) { [self] reply in
      isLooking = false
      took(reply)
      if looksAgain {
        looksAgain = false
        look()
      }
    }
  }

  private func took(_ reply: RedisReply) {
    if let problem = reply.problem { return end(.failure(.unavailable(problem))) }
    guard let parts = reply.array, let word = parts.first?.text, let status = RunStatus(rawValue: word) else {
      return end(.success(.unknown))
    }
    if status.isFinal {
      return end(.success(parts.last?.text == wish.token ? .cancelled : .finished(status)))
    }
    guard Clock.monotonicNanoseconds() >= givesUpAt else { return }
    end(.failure(.unavailable("the run's server has not answered; it is asked again")))
  }

  private func end(_ result: Result<CancelOutcome, BackendProblem>) {
    guard !isOver else { return }
    isOver = true
    backend.clearDeadline(deadline)
    backend.unwatch(self)
    then(result)
  }
}
