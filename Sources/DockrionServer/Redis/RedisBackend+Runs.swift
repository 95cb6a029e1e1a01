import DockrionCore

// The runs whose agents execute here, and the lease that keeps them.
extension RedisBackend {
  // MARK: The runs of this instance

  var keepSeconds: Int { Limits.redisSettleSeconds }
  var hasUnstored: Bool { writing.contains { $0.lacksEnd } }
  var redisFigures: Metrics.Redis? {
    let pending = writing.reduce(0) { $0 + $1.waitingEvents }
    return Metrics.Redis(isUp: isUp, losses: reconnects, pendingEvents: pending, pendingBytes: waitingBytes)
  }
  /// Seconds that the keys of a run that has not ended live: every instance may be lost.
  var lifetimeSeconds: Int { context.bounds.runSeconds + retentionSeconds }

  /// Writes a run's record; 0 in the answer when there is one already.
  ///
  /// - Parameter isUnique: the id was made here for this run, so that there can be none.
  func createRecord(of run: Run, isUnique: Bool, _ then: @escaping (RedisReply) -> Void) {
    let listing = listing(of: run)
    // Before the record: a run that is listed and does not exist does no harm, one that nobody would look for does.
    listing.own(run.id) { [unowned self] outcome in
      let made = { (reply: RedisReply) in
        if let refusal = outcome.refusal { return then(refusal) }
        if reply.int == 1 { listing.made(run.id, at: run.createdAt) }
        then(reply)
      }
      if isUnique { return create(run, listing.connection, made) }
      createIfNew(run, listing.connection, made)
    }
  }

  private func createIfNew(_ run: Run, _ connection: RedisConnection, _ then: @escaping (RedisReply) -> Void)
  {
    let fields = RedisRecord.created(
      run.createdAt, run.agent, owner: instance, key: run.idempotencyKey?.text)
    let keys = keys.run(run.id)
    connection.run(
      .create, keys: [keys.record, keys.events], count: 1 + fields.count * 2,
      arguments: { command in
        command.add("\(lifetimeSeconds)")
        for (name, value) in fields {
          command.add(name)
          value.withUnsafeBytes { command.add($0) }
        }
      }, then)
  }

  /// Without a script, which takes Redis twice as long. Where the second command does not come through, the run is listed
  /// all the same, and whoever ends it gives its record a time to live.
  private func create(_ run: Run, _ connection: RedisConnection, _ then: @escaping (RedisReply) -> Void) {
    let record = keys.run(run.id).record
    let key = run.idempotencyKey?.text
    let command = RedisCommand(words: 3 + createdFields[run.agent.index].count + (key == nil ? 0 : 2))
    command.add("HSET")
    command.add(record)
    if let key {
      command.add("idempotency_key")
      command.add(key)
    }
    command.add(createdFields[run.agent.index])
    command.add("\(run.createdAt)")
    let outcome = RedisOutcome()
    connection.send(command) { if $0.problem != nil { outcome.refusal = $0 } }
    connection.send(RedisCommand("EXPIRE", record, lifetime)) { reply in
      // A record that is gone at once: nobody knows what became of it.
      then(outcome.refusal ?? (reply.int == 0 ? .disconnected : reply))
    }
  }

  /// Takes back what was listed for a run whose record could not be made.
  func notOwned(_ run: Run) {
    noLongerExpects(run)
    // Another request may be making a run of that id, or have made it.
    guard !knows(run.id) else { return }
    connection(of: run).send(RedisCommand("SREM", keys.owned(instance), run.id)) { _ in }
  }

  func finished(_ run: Run) {}

  /// The end of a run is in Redis.
  func settled(_ run: Run) {
    rested.append(run)
    listing(of: run).ended(run.id)
    if let key = run.idempotencyKey {
      connection(of: run).send(RedisCommand("EXPIRE", keys.idempotency(key.text), "\(retentionSeconds)")) {
        _ in
      }
    }
  }

  func remove(_ run: Run) {
    // Redis may still be away.
    guard run.journal?.isSettled != false else { return run.keepOn() }
    owned[run.id] = nil
    run.removed()
    while let first = rested.first, owned[first.id] !== first { rested.removeFirst() }
  }

  /// Another instance has ended a run that executes here, or Redis has no record of it.
  func disown(_ run: Run, stored: Int, isGone: Bool) {
    guard owned[run.id] === run else { return }
    owned[run.id] = nil
    logger.warning(
      "run \(run.id) is not ours any more: \(isGone ? "Redis has no record of it" : "another server has ended it")"
    )
    let wasShown = run.feed.isFinal
    run.disown()
    if wasShown { return }
    if isGone { return run.feed.vanish() }
    run.feed.rewind(to: stored)
    let follower = Follower(run.feed, self)
    followers[run.id] = follower
    follower.whenLoaded { _ in }
  }

  /// Asks for every run of this instance whether it is still ours.
  func probeAll() {
    for run in Array(owned.values) where run.journal?.isSettled == false { run.journal?.probe() }
  }

  // MARK: The lease

  /// Others may end our runs from now on: until Redis says that they are still ours, nothing that it lacks is shown.
  func leaseLapsed() {
    isWithholding = true
    let unfinished = owned.values.filter { !$0.feed.isFinal }
    for run in unfinished { run.feed.shownThrough = run.journal?.stored }
    guard !unfinished.isEmpty else { return }
    logger.warning(
      "the lease in Redis was not renewed for \(settings.leaseSeconds * 3 / 4) s: what Redis lacks of \(unfinished.count) runs is withheld from their subscribers"
    )
  }

  /// - Parameter isNew: the lease had lapsed in Redis, or is the first one.
  func leaseStands(isNew: Bool) {
    guard isNew || isWithholding else { return }
    isWithholding = false
    if isNew {
      lapses += 1
      return probeAll()
    }
    // It has stood all the time, so nobody has ended anything.
    for run in Array(owned.values) where run.feed.shownThrough != nil {
      run.feed.shownThrough = nil
      run.feed.flush()
    }
  }

  /// What is done again and again: retries, and a look at what may have been missed.
  func lookAfter(followed: Bool) {
    if followed {
      settleUnconfirmed()
      keepConnections()
    }
    for journal in Array(writing) { journal.lookAfter() }
    if followed { for follower in Array(followers.values) { follower.check() } }
  }

  func askedToCancel(_ cancel: RedisCancel) {
    guard let run = owned[cancel.id] else { return }
    _ = run.cancelByClient(reason: cancel.reason, token: cancel.token)
  }
}
