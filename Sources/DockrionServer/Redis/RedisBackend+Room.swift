import DockrionCore

// What the runs and followers that are kept here may take together.
extension RedisBackend {
  private var limit: Int { context.bounds.logBytesMax }

  private func isFull(with more: Int) -> Bool { bytes + more > limit }

  /// What Redis has still to get cannot go, so there must be room for an event before it is kept.
  ///
  /// The last sixteenth is for runs that hold no more than their share, so that while Redis is away those fail that
  /// take most of the room, and not everyone who speaks.
  func makeRoom(for growing: Run, _ more: Int) -> Bool {
    guard isFull(with: more + limit / 16) else { return true }
    let isModest = growing.heldBytes + more <= limit / max(1, writing.count)
    let needed = isModest ? more : more + limit / 16
    letRest(needed)
    while isFull(with: needed), growing.dropOldestEvent() {}
    if isFull(with: needed) { takeFromOthers(needed) }
    return !isFull(with: needed) || isWrittenAtOnce(growing, more)
  }

  /// True for an event that does not fit while Redis takes all that it is given: it need not be kept.
  private func isWrittenAtOnce(_ growing: Run, _ more: Int) -> Bool {
    guard isUp, !isWithholding, let journal = growing.journal else { return false }
    if more > 0 { return waitingBytes <= limit / 16 }
    return waitingBytes - journal.waitingBytes <= limit / 16
      && journal.waitingEvents <= Limits.oversizeEventsMax
  }

  /// What a follower shows is in Redis, so it goes before its subscribers have it: they are told of a gap.
  func makeRoom(for growing: Follower) {
    guard isFull(with: 0) else { return }
    letRest(0)
    while isFull(with: 0), growing.dropOldestEvent() {}
    if isFull(with: 0) { takeFromOthers(0) }
  }

  /// True while followers must not hold what they can read again.
  var isCrowded: Bool { isFull(with: limit / 16) }

  /// Refuses a new run while less than an eighth of the room is free and nothing can be given up: it stays out of the
  /// sixteenth that is left to those that run.
  func checkRoom() throws(BackendProblem) {
    let slack = limit / 8
    guard isFull(with: slack) else { return }
    letRest(slack)
    if isFull(with: slack) { takeFromOthers(limit / 16) }
    if isFull(with: slack) { throw .noRoom(bytes: bytes, most: limit, free: slack) }
  }

  private func takeFromOthers(_ more: Int) {
    search.free(
      limit, now: context.deadlines.now,
      runs: {
        for follower in followers.values { while isFull(with: more), follower.dropOldestEvent() {} }
        return Array(owned.values)
      }, isEnough: { !isFull(with: more + $0) })
  }

  /// Forgets runs that nobody reads here; Redis has them: first those of others, then our own that have ended, which are
  /// kept for the case that Redis loses them.
  private func letRest(_ more: Int) {
    while isFull(with: more), let follower = resting.last {
      // Somebody may have come back to it.
      follower.isResting ? forget(follower) : follower.rises()
    }
    var read: [Run] = []
    while isFull(with: more), read.count < Limits.restingReadMax, let run = rested.popFirst() {
      guard owned[run.id] === run, run.journal?.isSettled == true else { continue }
      if run.feed.subscribers.isEmpty { remove(run) } else { read.append(run) }
    }
    rested.append(contentsOf: read)
  }
}
