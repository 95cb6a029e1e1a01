import DockrionCore
import DockrionLoop

/// Feeds the log of a run that executes elsewhere, or has ended, from Redis: what is stored, then what comes, with no
/// hole and nothing twice. One serves all subscribers of that run here.
///
/// It subscribes to the run's channel, then reads what is stored, then takes what the channel brings. Sequences
/// decide: what the log has is skipped, and after a hole the stored events are read again.
final class Follower: DeadlineTarget {
  private enum Phase { case idle, subscribing, loading, live, over }

  enum Found {
    case feed, unknown, unavailable
    /// The follower has ended; somebody else may have the run now.
    case forgotten
  }

  let feed: RunFeed
  private unowned let backend: RedisBackend
  private let keys: RedisKeys.OfRun
  private var phase = Phase.idle
  private var isSubscribed = false
  private var waiting: [(Found) -> Void] = []
  private var heardWhileLoading: [[UInt8]] = []
  private var heardBytes = 0
  // What came while it was loading had no room; Redis has it.
  private var hasDroppedHeard = false
  private var pageEntries = Limits.followFirstPageEntries
  // Where it stands among those that rest.
  private var place: Int?
  private var missingSince: Int64?
  private var idle: DeadlineQueues.Token?
  private var countedBytes = 0

  init(_ feed: RunFeed, _ backend: RedisBackend) {
    self.feed = feed
    self.backend = backend
    keys = backend.keys.run(feed.id)
    feed.onEmpty = { [unowned self] in restSoon() }
  }

  /// Calls `body` once the stored events are here, or it is known that there are none.
  func whenLoaded(_ body: @escaping (Found) -> Void) {
    if phase == .live || feed.isFinal { return body(.feed) }
    waiting.append(body)
    if phase == .idle { look() }
  }

  /// Takes a message of the run's channel.
  func heard(_ message: [UInt8]) {
    switch phase {
    case .live: take(message, mayReset: false)
    case .loading: hold(message)
    case .idle, .subscribing, .over: return
    }
  }

  private func hold(_ message: [UInt8]) {
    guard !hasDroppedHeard else { return }
    heardWhileLoading.append(message)
    heardBytes += message.count
    account()
    guard heardBytes > Limits.followHeldBytesMax || backend.isCrowded else { return }
    hasDroppedHeard = true
    letGoOfHeard()
  }

  private func letGoOfHeard() {
    heardWhileLoading = []
    heardBytes = 0
    account()
  }

  /// The subscription to the channel stands, perhaps again.
  func subscribed() {
    isSubscribed = true
    if phase == .subscribing || phase == .live { load() }
  }

  /// The connection that carried the channel is back.
  func subscribeAgain() {
    guard phase != .over, !feed.isFinal else { return }
    isSubscribed = false
    if phase == .idle { return look() }
    phase = .subscribing
    backend.subscribe(keys.channel)
  }

  /// The connection that carries this run's commands is back.
  func commandsAreBack() {
    if phase == .idle, !feed.isFinal, !feed.subscribers.isEmpty { look() }
  }

  /// Looks whether something was missed, or the run has vanished.
  func check() {
    // Redis may have refused a command, which breaks no connection.
    if phase == .idle, !feed.isFinal, !feed.subscribers.isEmpty { return look() }
    guard phase == .live, !feed.isFinal else { return }
    backend.position(of: feed.id, tells: false) { [weak self] position, problem in
      guard let self, self.phase == .live, !self.feed.isFinal, problem == nil else { return }
      guard let position else { return self.missed() }
      self.missingSince = nil
      if position.status.isFinal || position.sequence > self.feed.log.lastSequence {
        self.goBack(to: position)
        self.load()
      }
    }
  }

  /// Takes back what Redis has lost of a run that has ended: its end stands at the place of something that was taken.
  private func goBack(to position: RunPosition) {
    guard position.status.isFinal, !feed.isFinal, position.sequence <= feed.log.lastSequence else { return }
    feed.rewind(to: position.sequence - 1)
  }

  /// The record is gone. Where the run's server lives, it makes a new one.
  private func missed() {
    let now = Clock.monotonicNanoseconds()
    guard let since = missingSince else {
      missingSince = now
      return
    }
    if now - since > Int64(backend.settings.leaseSeconds) * Clock.second { vanish() }
  }

  // MARK: Loading

  private func look() {
    phase = .subscribing
    backend.position(of: feed.id, tells: true) { [weak self] position, problem in
      guard let self, self.phase == .subscribing else { return }
      if problem != nil { return self.fail() }
      guard let position else { return self.vanish() }
      self.goBack(to: position)
      if position.status.isFinal || self.isSubscribed { return self.load() }
      self.backend.subscribe(self.keys.channel)
    }
  }

  private func load() {
    phase = .loading
    loadPage()
  }

  private func loadPage() {
    let from = feed.log.lastSequence + 1
    let command = RedisCommand(
      "XRANGE", keys.events, "\(from)-0", "+", "COUNT", "\(pageEntries)")
    backend.connection(for: feed.id).send(command) { [weak self] reply in self?.took(reply) }
  }

  private func took(_ reply: RedisReply) {
    guard phase == .loading else { return }
    guard let entries = reply.array else { return fail() }
    let asked = pageEntries
    var pageBytes = 1
    for entry in entries {
      guard let parts = entry.array, parts.count == 2, let fields = parts[1].array, fields.count == 2,
        let bytes = fields[1].bytes
      else { continue }
      pageBytes += bytes.count
      take(bytes, mayReset: true)
    }
    guard phase == .loading else { return }
    pageEntries = min(
      max(1, entries.count * Limits.followPageBytes / pageBytes), Limits.followPageEntries)
    if entries.count == asked { return loadPage() }
    if hasDroppedHeard {
      hasDroppedHeard = false
      return loadPage()
    }
    phase = .live
    let heard = heardWhileLoading
    heardWhileLoading = []
    heardBytes = 0
    for message in heard { take(message, mayReset: false) }
    guard phase == .live else { return }
    if !isSubscribed, !feed.isFinal { return confirmEnd() }
    loaded(.feed)
  }

  /// The record says that the run has ended, and yet no terminal event is stored any more.
  private func confirmEnd() {
    backend.position(of: feed.id, tells: false) { [weak self] position, problem in
      guard let self, self.phase == .live, !self.feed.isFinal else { return }
      if problem != nil { return self.fail() }
      guard let position else { return self.vanish() }
      guard position.status.isFinal else { return self.look() }
      if position.sequence > self.feed.log.lastSequence {
        self.feed.log.reset(nextSequence: position.sequence)
      }
      self.tellLoss("Redis has lost the end of this run")
      self.feed.vanish("Redis has lost the end of this run")
      self.loaded(.feed)
    }
  }

  private func take(_ bytes: [UInt8], mayReset: Bool) {
    var isBehind = false
    StoredEvents.forEach(bytes) { event in
      let expected = feed.log.lastSequence + 1
      if event.sequence < expected {
        guard event.kind.isTerminal, !feed.isFinal else { return true }
        // Nothing comes behind an end: what was taken beyond it, Redis has lost.
        feed.rewind(to: event.sequence - 1)
        feed.log.append(stored: event.bytes, event.kind, customName: event.customName)
        feed.finish()
        return false
      }
      if event.sequence > expected {
        // Stored events that are missing have been trimmed; live ones are read from the stream.
        guard mayReset else {
          isBehind = true
          return false
        }
        feed.log.reset(nextSequence: event.sequence)
      }
      feed.log.append(stored: event.bytes, event.kind, customName: event.customName)
      if event.kind.isTerminal { feed.finish() }
      return true
    }
    account()
    feed.flush()
    backend.makeRoom(for: self)
    if isBehind, phase == .live { load() }
    if feed.isFinal { ended() }
  }

  private func loaded(_ found: Found) {
    let told = waiting
    waiting = []
    for body in told { body(found) }
    if feed.subscribers.isEmpty { restSoon() }
  }

  private func fail() {
    // With subscribers it goes on when the connection is back; those who wait hear it now.
    phase = .idle
    loaded(.unavailable)
  }

  private func vanish() {
    phase = .over
    tellLoss("Redis does not have this run any more")
    feed.vanish()
    loaded(.unknown)
    backend.forget(self)
  }

  /// Tells the log why subscribers get an end that their run's server has not given; nobody else is told of one.
  private func tellLoss(_ reason: String) {
    guard !feed.isFinal, !feed.subscribers.isEmpty || !waiting.isEmpty, feed.log.lastSequence > 0 else {
      return
    }
    backend.logger.error(
      "\(reason): the \(feed.subscribers.count) subscribers of run \(feed.id) get BACKEND_UNAVAILABLE")
  }

  private func ended() {
    if isSubscribed {
      isSubscribed = false
      backend.unsubscribe(from: feed.id)
    }
    guard phase != .over else { return }
    phase = .live
    letGoOfHeard()
    loaded(.feed)
  }

  // MARK: Rest

  private func restSoon() {
    backend.clearDeadline(idle)
    idle = backend.setDeadline(seconds: Limits.followIdleSeconds, self)
    guard place == nil, phase != .over else { return }
    place = backend.resting.count
    backend.resting.append(self)
  }

  /// Takes itself out of those that rest.
  func rises() {
    guard let place else { return }
    self.place = nil
    let last = backend.resting.removeLast()
    guard last !== self else { return }
    backend.resting[place] = last
    last.place = place
  }

  func deadlinePassed(_ tag: UInt8) {
    idle = nil
    if isResting { backend.forget(self) }
  }

  /// Lets go of the channel; for the backend, when it forgets this follower.
  func stop() {
    backend.clearDeadline(idle)
    idle = nil
    rises()
    let wasListening = isListening
    isSubscribed = false
    phase = .over
    if wasListening { backend.unsubscribe(from: feed.id) }
    backend.bytes -= countedBytes
    countedBytes = 0
    feed.onEmpty = {}
    if !feed.subscribers.isEmpty {
      tellLoss("this server follows it no more")
      feed.vanish()
    }
    let told = waiting
    waiting = []
    for body in told { body(.forgotten) }
  }

  /// True while it needs the run's channel.
  var isListening: Bool { isSubscribed || phase == .subscribing }

  /// True while nobody needs it.
  var isResting: Bool { feed.subscribers.isEmpty && waiting.isEmpty }

  private func account() {
    let bytes = feed.log.byteCount + heardBytes
    backend.bytes += bytes - countedBytes
    countedBytes = bytes
  }

  /// Drops the oldest event while all the room is taken; false when only one is left.
  func dropOldestEvent() -> Bool {
    guard phase != .over, feed.log.firstSequence < feed.log.lastSequence else { return false }
    feed.log.dropOldest()
    account()
    return true
  }
}
