import DockrionCore

/// This instance's sign of life in Redis, and its look at the signs of the others.
///
/// The lease is a key that expires. It lives for three quarters of `lease_seconds` and is renewed almost three times as
/// often; everybody looks for lost instances ten times in `lease_seconds`, and an instance is lost when two looks have
/// missed its lease: its runs are ended within `lease_seconds`. Who was away from Redis, or found Redis slow, waits that
/// long before it believes that others are lost: they fared no better.
final class RedisLease: DeadlineTarget {
  private unowned let backend: RedisBackend
  private let deadlines: DeadlineQueues
  private let leaseNanoseconds: Int64
  private var renewedAt: Int64 = 0
  private var lookedAt = Clock.monotonicNanoseconds()
  private var isAsking = false
  private var mayJudgeAt = Int64.max
  // Instances whose lease the last look has missed.
  private var suspects: Set<String> = []
  private var isReleased = false
  /// True while the lease is known to stand.
  private(set) var isHeld = false

  init(_ backend: RedisBackend, _ deadlines: DeadlineQueues) {
    self.backend = backend
    self.deadlines = deadlines
    leaseNanoseconds = Int64(backend.settings.leaseSeconds) * 1_000_000_000
    setDeadline()
  }

  private var lifetimeMilliseconds: Int64 { leaseNanoseconds * 3 / 4 / 1_000_000 }

  private func setDeadline() {
    _ = deadlines.set(after: leaseNanoseconds / 10, now: Clock.monotonicNanoseconds(), self)
  }

  func deadlinePassed(_ tag: UInt8) {
    guard !isReleased else { return }
    setDeadline()
    let now = Clock.monotonicNanoseconds()
    // A stopped process does not look; others may have given it up meanwhile.
    if now - lookedAt > lifetimeMilliseconds * 1_000_000 / 2 {
      backend.doubt()
      backend.probeAll()
    }
    lookedAt = now
    let isDue = now - renewedAt >= leaseNanoseconds * 8 / 30
    if isDue { renew() }
    backend.lookAfter(followed: isDue)
    if isHeld, now >= mayJudgeAt { judge() }
  }

  /// A connection to Redis is there, again or for the first time.
  func connected() {
    if Clock.monotonicNanoseconds() - renewedAt > leaseNanoseconds * 4 / 10 { trustOthers() }
    renew()
  }

  /// Gives all others the time to renew their leases.
  private func trustOthers() {
    mayJudgeAt = Clock.monotonicNanoseconds() + leaseNanoseconds
    suspects = []
  }

  // MARK: The own lease

  private func renew() {
    guard !isReleased, !isAsking, let connection = backend.anyConnection else { return }
    isAsking = true
    let began = Clock.monotonicNanoseconds()
    let key = backend.keys.lease(backend.instance)
    connection.send(RedisCommand("SADD", backend.keys.instances, backend.instance)) { _ in }
    connection.send(RedisCommand("SET", key, "1", "XX", "PX", "\(lifetimeMilliseconds)")) {
      [unowned self] reply in
      if case .null = reply {
        // The first time, or others may have thought that we are lost.
        trustOthers()
        return connection.send(RedisCommand("SET", key, "1", "PX", "\(lifetimeMilliseconds)")) {
          [unowned self] reply in
          took(reply, began)
          if reply.problem == nil { backend.probeAll() }
        }
      }
      took(reply, began)
    }
    let oldest = Clock.wallNanoseconds() / 1000 - Int64(backend.lifetimeSeconds) * 1_000_000
    connection.send(RedisCommand("ZREMRANGEBYSCORE", backend.keys.runs, "-inf", "\(oldest)")) { _ in }
    takeRequests()
    endUnknownRuns(connection)
  }

  private func took(_ reply: RedisReply, _ began: Int64) {
    isAsking = false
    isHeld = reply.problem == nil
    if Clock.monotonicNanoseconds() - began > leaseNanoseconds / 10 { trustOthers() }
    if isHeld { renewedAt = began }
  }

  /// Requests to cancel whose notice was lost.
  func takeRequests() {
    guard let connection = backend.anyConnection else { return }
    let key = backend.keys.cancels(backend.instance)
    connection.send(RedisCommand("SMEMBERS", key)) { [unowned self] reply in
      for id in (reply.array ?? []).compactMap(\.text) {
        let record = backend.keys.run(id).record
        backend.connection(for: id).send(RedisCommand("HGET", record, "cancel")) { [unowned self] reply in
          if let message = reply.bytes { backend.askedToCancel(RedisCancel(message: message)) }
          if reply.problem == nil { connection.send(RedisCommand("SREM", key, id)) { _ in } }
        }
      }
    }
  }

  /// Gives the lease back. When runs are left that others must end, it is left to lapse.
  func release(giveUp: Bool) {
    isReleased = true
    guard giveUp, let connection = backend.anyConnection else { return }
    connection.send(RedisCommand("SREM", backend.keys.instances, backend.instance)) { _ in }
    connection.send(RedisCommand("DEL", backend.keys.lease(backend.instance))) { _ in }
  }

  // MARK: Others

  private func judge() {
    guard let connection = backend.anyConnection else { return }
    let began = Clock.monotonicNanoseconds()
    connection.send(RedisCommand("SMEMBERS", backend.keys.instances)) { [unowned self] reply in
      for instance in (reply.array ?? []).compactMap(\.text) where instance != backend.instance {
        connection.send(RedisCommand("EXISTS", backend.keys.lease(instance))) { [unowned self] reply in
          // An answer that took long tells of a Redis that others could not reach in time either.
          if Clock.monotonicNanoseconds() - began > leaseNanoseconds / 10 { return trustOthers() }
          guard reply.int == 0 else {
            suspects.remove(instance)
            return
          }
          if !suspects.insert(instance).inserted { endRuns(of: instance, connection) }
        }
      }
    }
  }

  private func endRuns(of instance: String, _ connection: RedisConnection) {
    let set = backend.keys.owned(instance)
    connection.send(RedisCommand("SMEMBERS", set)) { [unowned self] reply in
      guard let ids = reply.array?.compactMap(\.text) else { return }
      if ids.isEmpty {
        suspects.remove(instance)
        connection.send(RedisCommand("SREM", backend.keys.instances, instance)) { _ in }
        connection.send(RedisCommand("DEL", backend.keys.cancels(instance))) { _ in }
      }
      for id in ids { end(id, of: instance, in: set) }
    }
  }

  /// Ends runs that Redis says are ours and that nobody knows here: a command that came through after its connection
  /// had been given up.
  private func endUnknownRuns(_ connection: RedisConnection) {
    let set = backend.keys.owned(backend.instance)
    connection.send(RedisCommand("SMEMBERS", set)) { [unowned self] reply in
      for id in (reply.array ?? []).compactMap(\.text) where !backend.knows(id) {
        end(id, of: backend.instance, in: set)
      }
    }
  }

  private func end(_ id: String, of instance: String, in set: String) {
    let keys = backend.keys.run(id)
    let error = AgentError(code: "WORKER_LOST", message: "the server that executed this run is lost")
    let event = EventEncoder(identity: .run(id)).failureRecord(error, ended: false)
    let fields: RedisRecord.Fields = [
      ("status", Array(RunStatus.failed.rawValue.utf8)),
      ("completed_at", Array(Clock.wallNanoseconds().description.utf8)), ("error", RunRecord.json(error)),
    ]
    let connection = backend.connection(for: id)
    connection.run(
      .reap, keys: [keys.record, keys.events, keys.channel], count: 4 + fields.count * 2,
      arguments: { command in
        command.add(instance)
        event.withText { text in
          command.add(UnsafeRawBufferPointer(rebasing: text[..<event.hole]))
          command.add(UnsafeRawBufferPointer(rebasing: text[event.hole...]))
        }
        command.add("\(backend.retentionSeconds)")
        for (name, value) in fields {
          command.add(name)
          value.withUnsafeBytes { command.add($0) }
        }
      },
      { [unowned self] reply in
        guard reply.problem == nil else { return }
        if let key = reply.text {
          backend.logFailure(
            of: id, AgentError(code: error.code, message: "\(error.message): \(instance)"))
          if !key.isEmpty {
            let name = backend.keys.idempotency(key)
            connection.send(RedisCommand("EXPIRE", name, "\(backend.retentionSeconds)")) { _ in }
          }
        }
        connection.send(RedisCommand("SREM", set, id)) { _ in }
      })
  }
}
