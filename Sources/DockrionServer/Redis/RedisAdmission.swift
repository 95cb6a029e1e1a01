import DockrionCore
import DockrionLoop

/// One `POST /runs` on its way through Redis: the idempotency key, then the record.
final class RedisAdmission: DeadlineTarget {
  private let request: RunRequest
  private unowned let backend: RedisBackend
  private let then: (Result<RunAdmission, BackendProblem>) -> Void
  private let run: Run
  private var looksLeft = 40

  init(
    _ request: RunRequest, _ backend: RedisBackend,
    _ then: @escaping (Result<RunAdmission, BackendProblem>) -> Void
  ) {
    self.request = request
    self.backend = backend
    self.then = then
    run = backend.makeRun(request)
  }

  func begin() {
    if request.key == nil { create() } else { claim(replacing: "") }
  }

  // MARK: The key

  private func claim(replacing old: String) {
    guard let key = request.key else { return create() }
    backend.connection(of: run).run(
      .claim, keys: [backend.keys.idempotency(key.text)], count: 3,
      arguments: { command in
        command.add(backend.claim(of: run))
        command.add("\(backend.lifetimeSeconds)")
        command.add(old)
      },
      { [self] reply in
        if let problem = reply.problem { return fail(reply, "EVALSHA (claim)", problem) }
        if let held = reply.text { repeated(held, key) } else { create() }
      })
  }

  private func repeated(_ held: String, _ key: IdempotencyKey) {
    let parts = held.split(separator: " ").map(String.init)
    guard parts.count == 3, let createdAt = Int64(parts[2]) else { return claim(replacing: held) }
    let id = parts[0]
    backend.position(of: id, tells: true) { [self] position, problem in
      if let problem { return then(.failure(.unavailable(problem))) }
      if position != nil {
        let isSame = parts[1] == key.body
        return then(
          isSame ? .success(.repeated(id: id, createdAt: createdAt)) : .failure(.keyReused(run: id)))
      }
      // The first request has the key and has still to make its run, or its run is not kept any more.
      looksLeft -= 1
      if looksLeft == 0 {
        return claim(replacing: held)
      }
      backend.soon(self)
    }
  }

  func deadlinePassed(_ tag: UInt8) { claim(replacing: "") }

  /// Redis has not confirmed what was asked of it, or refuses it.
  private func fail(_ reply: RedisReply, _ command: String, _ problem: String) {
    if let refusal = reply.refusal(of: command) { backend.refused(refusal) }
    if case .unsent = reply, request.key == nil {
      backend.notOwned(run)
    } else {
      backend.abandon(run, request)
    }
    then(.failure(.unavailable(problem)))
  }

  // MARK: The record

  private func create() {
    do throws(BackendProblem) {
      try request.reserveOrThrow()
      try backend.checkRoom()
    } catch {
      backend.releaseKey(of: run)
      return then(.failure(error))
    }
    backend.expect(run)
    backend.createRecord(of: run, isUnique: request.id == nil) { [self] reply in
      if let problem = reply.problem { return fail(reply, "EVALSHA (create)", problem) }
      guard reply.int == 1 else {
        backend.releaseKey(of: run)
        backend.notOwned(run)
        return then(.failure(.runExists(run.id)))
      }
      confirm()
    }
  }

  /// The run is ours, unless the key was taken from us while its record was being made.
  private func confirm() {
    guard let key = request.key else {
      backend.adopt(run)
      return then(.success(.new(run)))
    }
    backend.connection(of: run).send(RedisCommand("GET", backend.keys.idempotency(key.text))) {
      [self] reply in
      if let problem = reply.problem { return fail(reply, "GET", problem) }
      guard let held = reply.text, held != backend.claim(of: run) else {
        backend.adopt(run)
        return then(.success(.new(run)))
      }
      backend.abandon(run, request)
      repeated(held, key)
    }
  }
}
