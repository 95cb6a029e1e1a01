import DockrionCore

/// Writes one run, whose agent executes here, to Redis: events in batches, then the end.
final class RunJournal: EventJournal {
  private unowned let run: Run
  private unowned let backend: RedisBackend
  private let keys: RedisKeys.OfRun
  private let connection: RedisConnection
  private var cursor = JournalCursor()
  private var retryAt: Int64 = 0
  private var refusals = 0
  private var isRebuilding = false
  private var isClosed = false
  // The backend's count of lapses when the write under way went out.
  private var lapses = 0
  private var batchBytes = 0
  private var countedThrough = 0
  // Where it stands among those that the backend looks after.
  private var place: Int?
  /// Bytes of events that wait for Redis.
  private(set) var waitingBytes = 0

  init(_ run: Run, _ backend: RedisBackend) {
    self.run = run
    self.backend = backend
    keys = backend.keys.run(run.id)
    connection = backend.connection(of: run)
    enrol()
  }

  /// True once the run's end is stored.
  var isSettled: Bool { cursor.isSettled }
  /// The last event that is known to be stored.
  var stored: Int { cursor.stored }

  /// True while Redis has still to get this event.
  func holds(_ sequence: Int) -> Bool { sequence > cursor.stored }

  /// Writes what Redis lacks, unless a write is under way.
  func pump() {
    count()
    guard !cursor.isUnderWay, !isRebuilding, cursor.stored < run.log.lastSequence else { return }
    guard connection.isReady, Clock.monotonicNanoseconds() >= retryAt else { return }
    write()
  }

  /// Asks how far Redis is, also when there is nothing to write: after a connection was lost, or a lease.
  func probe() {
    guard !cursor.isUnderWay, !isRebuilding, connection.isReady else { return }
    write()
  }

  /// What is done now and then: retries, and a look whether the run is still ours.
  func lookAfter() {
    pump()
    if run.feed.shownThrough != nil, !backend.isWithholding { probe() }
  }

  /// How many events Redis has still to get.
  var waitingEvents: Int { max(0, run.log.lastSequence - cursor.stored) }

  /// True while the run has an end that Redis has still to get.
  var lacksEnd: Bool { run.hasEnded && !cursor.isSettled }

  /// Has the backend look after it until the end is stored.
  private func enrol() {
    guard place == nil else { return }
    place = backend.writing.count
    backend.writing.append(self)
  }

  private func leave() {
    guard let place else { return }
    self.place = nil
    let last = backend.writing.removeLast()
    guard last !== self else { return }
    backend.writing[place] = last
    last.place = place
  }

  private func write() {
    let batch = backend.batch
    batch.writer.removeAll(keepingAtMost: 512 << 10)
    // Events that are too old to be kept are not written: there the sequence jumps.
    var next = max(cursor.stored + 1, run.log.firstSequence)
    while next <= run.log.lastSequence, batch.writer.count < Limits.journalBatchBytes {
      let (bytes, after) = run.log.read(from: next, bytesMax: Limits.journalBatchBytes)
      batch.writer.append(bytes)
      next = after
    }
    let through = max(next - 1, cursor.stored)
    let endsHere = run.hasEnded && through == run.log.lastSequence
    let fields =
      endsHere
      ? RedisRecord.ended(run.finalRecord, cancelledBy: run.cancelledBy)
      : cursor.stored == 0 ? RedisRecord.started(at: run.startedAt ?? Clock.wallNanoseconds()) : []
    let lifetime = endsHere ? backend.retentionSeconds : cursor.stored == 0 ? backend.lifetimeSeconds : nil
    let previous = cursor.stored
    let oldest = through - backend.eventsMax + 1
    lapses = backend.lapses
    batchBytes = batch.writer.count
    cursor.begin(through: through, end: endsHere ? run.endStatus?.rawValue : nil)
    connection.run(
      .append, keys: [keys.record, keys.events, keys.channel], count: 6 + fields.count * 2,
      arguments: { command in
        command.add(backend.instance)
        command.add("\(previous)")
        command.add("\(through)")
        command.add(batch.writer.bytes)
        command.add(oldest > 1 ? "\(oldest)-0" : "")
        command.add(lifetime.map { "\($0)" } ?? "")
        for (name, value) in fields {
          command.add(name)
          value.withUnsafeBytes { command.add($0) }
        }
      },
      { [weak self] reply in self?.took(reply) })
  }

  private func took(_ reply: RedisReply) {
    let answer: JournalCursor.Answer
    if let refusal = reply.refusal(of: "EVALSHA (append)") {
      backend.refused(refusal)
      refusals += 1
      retryAt = Clock.monotonicNanoseconds() + Clock.second
      answer = .lost
    } else {
      answer = Self.answer(reply)
      if answer == .done { refusals = 0 }
    }
    let action = cursor.answered(answer, last: run.log.lastSequence, end: run.endStatus?.rawValue)
    recount(answer)
    if cursor.isSettled { leave() } else if !isClosed { enrol() }
    switch action {
    case .goOn: goOn()
    case .settled:
      backend.settled(run)
      run.becomeFinal()
    case .rebuild: rebuild()
    case .disown: backend.disown(run, stored: cursor.stored, isGone: answer == .gone || answer == .fenced)
    case .wait: count()
    }
    if refusals == Limits.journalRefusalsMax { giveUp("Redis refuses its events") }
  }

  /// It is still ours, or was when Redis answered.
  private func goOn() {
    if let shown = run.feed.shownThrough {
      let isOurs = !backend.isWithholding && lapses == backend.lapses
      run.feed.shownThrough = isOurs ? nil : max(shown, cursor.stored)
      run.feed.flush()
    }
    pump()
    if run.feed.shownThrough != nil, !backend.isWithholding { probe() }
  }

  static func answer(_ reply: RedisReply) -> JournalCursor.Answer {
    if case .integer = reply { return .done }
    guard let parts = reply.array, let word = parts.first?.text else { return .lost }
    switch word {
    case "at" where parts.count > 1: return parts[1].int.map { .at($0) } ?? .gone
    case "final" where parts.count > 2: return .final(parts[1].int ?? 0, parts[2].text ?? "")
    case "fenced": return .fenced
    case "gone": return .gone
    default: return .lost
    }
  }

  private func rebuild() {
    backend.logger.warning("Redis has lost the record of run \(run.id); writing it again")
    isRebuilding = true
    backend.createRecord(of: run, isUnique: false) { [weak self] _ in
      self?.isRebuilding = false
      self?.pump()
    }
  }

  // MARK: What waits

  /// Counts what has come since, and fails the run when too much waits for Redis.
  private func count() {
    let last = run.log.lastSequence
    if last > countedThrough {
      waits(waitingBytes + run.log.bytes(after: countedThrough))
      countedThrough = last
    }
    if waitingBytes > backend.pendingBytesMax, !run.hasEnded {
      giveUp("more than \(backend.pendingBytesMax) bytes of its events wait for Redis")
    }
  }

  /// Counts anew what an answer has changed.
  private func recount(_ answer: JournalCursor.Answer) {
    if cursor.stored >= countedThrough {
      waits(0)
    } else if answer == .done {
      waits(max(0, waitingBytes - batchBytes))
    } else if answer != .lost {
      waits(run.log.bytes(after: cursor.stored))
      countedThrough = run.log.lastSequence
    }
  }

  private func waits(_ bytes: Int) {
    backend.waitingBytes += bytes - waitingBytes
    if bytes < waitingBytes { backend.search.settledBytes += waitingBytes - bytes }
    waitingBytes = bytes
  }

  /// Nothing of the run is written here any more.
  func close() {
    waits(0)
    isClosed = true
    leave()
  }

  /// Ends the run here, since nobody can say when Redis will take its events. It is written all the same when Redis can.
  private func giveUp(_ reason: String) {
    _ = run.fail(
      AgentError(code: "BACKEND_UNAVAILABLE", message: "the run's events could not be stored: \(reason)"))
    showEnd()
  }

  /// Shows an end that Redis has still to get, unless others may have ended the run otherwise, since this server's lease
  /// has lapsed.
  func showEnd() {
    if !backend.isWithholding { run.becomeFinal() }
  }
}
