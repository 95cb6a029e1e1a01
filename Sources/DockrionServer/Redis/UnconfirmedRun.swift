import DockrionCore

/// A run whose record was asked for and not confirmed, and whose client was told that there is none.
struct UnconfirmedRun {
  let run: Run
  let request: RunRequest
  /// Until when the lost command may still arrive, on the monotonic clock.
  let until: Int64
}

// Records that may have been made without our knowing.
extension RedisBackend {
  /// A run whose record is about to be made.
  func expect(_ run: Run) { admitting[run.id] = run }

  func noLongerExpects(_ run: Run) {
    if admitting[run.id] === run { admitting[run.id] = nil }
  }

  /// Nobody knows whether the record of a run was made, and its client has been told that it was not. When Redis is
  /// back it is taken back, and again while the lost command may still arrive; unless somebody was answered with it
  /// meanwhile: then it is executed.
  func abandon(_ run: Run, _ request: RunRequest) {
    noLongerExpects(run)
    // Those that are dropped here are ended as runs that are ours and that nobody knows.
    if unconfirmed.count == Limits.unconfirmedRunsMax {
      let oldest = Set(unconfirmed.prefix(unconfirmed.count / 2).map { ObjectIdentifier($0.run) })
      dropUnconfirmed { oldest.contains(ObjectIdentifier($0.run)) }
    }
    context.board.payloadBytes += request.payloadBytes
    unconfirmed.append(
      UnconfirmedRun(
        run: run, request: request,
        until: Clock.monotonicNanoseconds() + Limits.unconfirmedSeconds * Clock.second))
  }

  func settleUnconfirmed() {
    let now = Clock.monotonicNanoseconds()
    dropUnconfirmed { $0.until < now }
    for entry in unconfirmed {
      let run = entry.run
      connection(of: run).run(
        .forget, keys: [keys.run(run.id).record, keys.run(run.id).events], count: 2,
        arguments: { command in
          command.add(instance)
          command.add("\(run.createdAt)")
        },
        { [unowned self] reply in
          switch reply.text {
          case "told": takeUp(entry)
          case "over": drop(run)
          case "gone": releaseKey(of: run)
          default: return
          }
        })
    }
  }

  private func drop(_ run: Run) { dropUnconfirmed { $0.run === run } }

  /// Their payloads go with them.
  private func dropUnconfirmed(_ isOver: (UnconfirmedRun) -> Bool) {
    unconfirmed.removeAll { entry in
      guard isOver(entry) else { return false }
      context.board.payloadBytes -= entry.request.payloadBytes
      return true
    }
  }

  /// Somebody was answered with it, so it is executed.
  private func takeUp(_ entry: UnconfirmedRun) {
    let run = entry.run
    guard unconfirmed.contains(where: { $0.run === run }) else { return }
    drop(run)
    // An earlier attempt may have been cleared away.
    let connection = connection(of: run)
    connection.send(RedisCommand("SADD", keys.owned(instance), run.id)) { _ in }
    connection.send(RedisCommand("ZADD", keys.runs, "\(run.createdAt / 1000)", run.id)) { _ in }
    adopt(run)
    logger.notice("run \(run.id) is executed after all: its record was made and others were told of it")
    if context.board.refusal(of: run.agent) == nil { return entry.request.start(run) }
    _ = run.fail(
      AgentError(code: "BACKEND_UNAVAILABLE", message: "its server had no room when Redis confirmed it"))
  }

  /// What an idempotency key is taken with.
  func claim(of run: Run) -> String { "\(run.id) \(run.idempotencyKey?.body ?? "") \(run.createdAt)" }

  /// Lets go of the idempotency key of a run that was not made.
  func releaseKey(of run: Run) {
    guard let key = run.idempotencyKey else { return }
    connection(of: run).run(
      .release, keys: [keys.idempotency(key.text)], count: 1, arguments: { $0.add(claim(of: run)) }, { _ in })
  }

  /// Whether a run that Redis says is ours is known here.
  func knows(_ id: String) -> Bool {
    owned[id] != nil || admitting[id] != nil || unconfirmed.contains { $0.run.id == id }
  }
}
