import DockrionCore
import DockrionLoop

/// This instance's sign of life in Redis, and its look at the signs of the others.
///
/// The lease is a key that expires. It lives for three quarters of `lease_seconds` and is renewed almost three times as
/// often; everybody looks for lost instances ten times in `lease_seconds`, and an instance is lost when two looks have
/// missed its lease: its runs are ended within `lease_seconds`. Who was away from Redis waits that long before it
/// believes that others are lost: they fared no better. The same where Redis is slower than a lease can bear.
final class RedisLease: DeadlineTarget {
  private enum Tag {
    static let look: UInt8 = 0
    static let lapse: UInt8 = 1
  }

  private unowned let backend: RedisBackend
  private let deadlines: DeadlineQueues
  private let leaseNanoseconds: Int64
  private var others: OtherLeases
  private var renewedAt: Int64 = 0
  private var isAsking = false
  private var isJudging = false
  private var isReleased = false
  private var lapse: DeadlineQueues.Token?
  /// True while the lease is known to stand.
  private(set) var isHeld = false
  /// Why Redis does not give it.
  private(set) var refusal: RedisRefusal?
  private var refusedBeside: RedisRefusal?

  init(_ backend: RedisBackend, _ deadlines: DeadlineQueues) {
    self.backend = backend
    self.deadlines = deadlines
    leaseNanoseconds = Int64(backend.settings.leaseSeconds) * Clock.second
    others = OtherLeases(leaseNanoseconds: leaseNanoseconds)
    setDeadline()
  }

  private var lifetimeMilliseconds: Int64 { others.lifetimeNanoseconds / 1_000_000 }

  private func setDeadline() {
    _ = deadlines.set(after: leaseNanoseconds / 10, now: Clock.monotonicNanoseconds(), self, tag: Tag.look)
  }

  func deadlinePassed(_ tag: UInt8) {
    guard !isReleased else { return }
    if tag == Tag.lapse { return lapsed() }
    setDeadline()
    let now = Clock.monotonicNanoseconds()
    let isDue = now - renewedAt >= leaseNanoseconds * 8 / 30
    if isDue { renew() }
    backend.lookAfter(followed: isDue)
    if isHeld, now >= others.mayJudgeAt { judge() }
  }

  /// A connection to Redis is there, again or for the first time.
  func connected() {
    let now = Clock.monotonicNanoseconds()
    if now - renewedAt > leaseNanoseconds * 4 / 10 { others.trust(now: now) }
    renew()
  }

  private func tookLong(_ finding: OtherLeases.Finding?, _ nanoseconds: Int64) {
    guard finding == .slow(isNews: true) else { return }
    let seconds = { (nanoseconds: Int64) in "\(Double(nanoseconds / 100_000_000) / 10) s" }
    backend.logger.warning(
      "Redis takes \(seconds(nanoseconds)) for an answer and lease_seconds leaves \(seconds(others.marginNanoseconds)): servers that die are not noticed; raise streaming.redis.lease_seconds or look what slows Redis"
    )
  }

  // MARK: The own lease

  private func renew() {
    guard !isReleased, !isAsking, let connection = backend.anyConnection else { return }
    isAsking = true
    refusedBeside = nil
    ask(connection, RedisCommand("SADD", backend.keys.instances, backend.instance), "SADD") { _ in }
    let oldest = Clock.wallNanoseconds() / 1000 - Int64(backend.lifetimeSeconds) * 1_000_000
    ask(
      connection, RedisCommand("ZREMRANGEBYSCORE", backend.keys.runs, "-inf", "\(oldest)"), "ZREMRANGEBYSCORE"
    ) { _ in }
    takeRequests()
    endUnknownRuns(connection)
    let began = Clock.monotonicNanoseconds()
    let key = backend.keys.lease(backend.instance)
    connection.send(RedisCommand("SET", key, "1", "XX", "PX", "\(lifetimeMilliseconds)")) {
      [unowned self] reply in
      guard case .null = reply else { return took(reply, began, isNew: false) }
      // The first time, or others may have thought that we are lost.
      let began = Clock.monotonicNanoseconds()
      others.trust(now: began)
      connection.send(RedisCommand("SET", key, "1", "PX", "\(lifetimeMilliseconds)")) {
        [unowned self] in took($0, began, isNew: true)
      }
    }
  }

  /// What goes with a renewal: where Redis refuses it, the lease is worth nothing.
  private func ask(
    _ connection: RedisConnection, _ command: RedisCommand, _ name: String,
    _ then: @escaping (RedisReply) -> Void
  ) {
    connection.send(command) { [unowned self] reply in
      if let refusal = reply.refusal(of: name), refusedBeside == nil { refusedBeside = refusal }
      then(reply)
    }
  }

  private func took(_ reply: RedisReply, _ began: Int64, isNew: Bool) {
    isAsking = false
    let now = Clock.monotonicNanoseconds()
    refusal = reply.refusal(of: "SET") ?? refusedBeside
    if let refusal {
      isHeld = false
      return backend.refused(refusal)
    }
    // Without an answer it stands until its time is over.
    guard reply.problem == nil else { return }
    tookLong(others.answered(began: began, now: now), now - began)
    renewedAt = began
    isHeld = now - began < others.lifetimeNanoseconds
    deadlines.clear(lapse)
    // A nanosecond more makes it a queue of its own, in which it may be set from a moment that has passed.
    lapse = deadlines.set(after: others.lifetimeNanoseconds + 1, now: began, self, tag: Tag.lapse)
    if isHeld { backend.leaseStands(isNew: isNew) }
  }

  /// Three quarters of a lease have passed without a renewal: others may end our runs from now on.
  private func lapsed() {
    lapse = nil
    isHeld = false
    backend.leaseLapsed()
  }

  /// Requests to cancel whose notice was lost.
  func takeRequests() {
    guard let connection = backend.anyConnection else { return }
    let key = backend.keys.cancels(backend.instance)
    ask(connection, RedisCommand("SMEMBERS", key), "SMEMBERS") { [unowned self] reply in
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

  /// One look at all leases, in one round trip. No script could do it where a cluster keeps the keys apart.
  private func judge() {
    guard !isJudging, let connection = backend.anyConnection else { return }
    isJudging = true
    let began = Clock.monotonicNanoseconds()
    var standing: Set<String> = []
    for instance in others.asked {
      connection.send(RedisCommand("EXISTS", backend.keys.lease(instance))) { reply in
        // What was not answered is not missing.
        if reply.int != 0 { standing.insert(instance) }
      }
    }
    connection.send(RedisCommand("SMEMBERS", backend.keys.instances)) { [unowned self] reply in
      isJudging = false
      guard let list = reply.array else { return }
      let instances = Set(list.compactMap(\.text)).subtracting([backend.instance])
      let now = Clock.monotonicNanoseconds()
      let finding = others.looked(began: began, now: now, instances: instances, standing: standing)
      tookLong(finding, now - began)
      if case .lost(let lost) = finding { for instance in lost { endRuns(of: instance, connection) } }
    }
  }

  private func endRuns(of instance: String, _ connection: RedisConnection) {
    let set = backend.keys.owned(instance)
    connection.send(RedisCommand("SMEMBERS", set)) { [unowned self] reply in
      guard let ids = reply.array?.compactMap(\.text) else { return }
      if ids.isEmpty {
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
    ask(connection, RedisCommand("SMEMBERS", set), "SMEMBERS") { [unowned self] reply in
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
