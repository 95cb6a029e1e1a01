import DockrionCore
import Logging

/// Runs in Redis, shared with other servers: `docs/redis-schema.md` says how.
///
/// A run belongs to the instance that executes its agent; that one alone writes its events, and its log here is the
/// truth until Redis has it. All others follow.
final class RedisBackend: RunBackend, RunKeeper {
  let keys: RedisKeys
  /// This process's name among the instances.
  let instance: String
  let settings: Dockfile.Redis
  let eventsMax: Int
  let retentionSeconds: Int
  let pendingBytesMax: Int
  let batch = Server.Scratch()
  let logger: Logger
  var bytes = 0
  private(set) var owned: [String: Run] = [:]
  private(set) var reconnects = 0
  private var followers: [String: Follower] = [:]
  private unowned let server: Server
  private let deadlines: DeadlineQueues
  private let connections: [RedisConnection]
  private let listener: RedisConnection
  private var lease: RedisLease!
  private var saidAway = false
  // The inbox is subscribed to: the listener hears what it is told.
  private var isListening = false
  // Runs whose records are being made, and those that were given up without knowing whether they were.
  private var admitting: [String: Run] = [:]
  private var abandoned: [(run: Run, until: Int64)] = []

  init(
    _ settings: Dockfile.Redis, _ server: Server, _ loop: EventLoop, _ deadlines: DeadlineQueues,
    _ logger: Logger
  ) {
    self.settings = settings
    self.server = server
    self.deadlines = deadlines
    self.logger = logger
    keys = RedisKeys(prefix: settings.keyPrefix)
    instance = server.makeID()
    eventsMax = server.dockfile.streaming.maxEventsPerRun
    retentionSeconds = server.dockfile.streaming.retentionSeconds
    pendingBytesMax = settings.maxPendingBytes
    let resolver = RedisResolver(loop)
    var connecting = RedisConnection.Settings(
      url: settings.url, connectTimeoutSeconds: settings.connectTimeoutSeconds,
      commandTimeoutSeconds: settings.commandTimeoutSeconds)
    connections = (0..<settings.connections).map { _ in RedisConnection(connecting, loop, deadlines, resolver)
    }
    connecting.loadsScripts = false
    listener = RedisConnection(connecting, loop, deadlines, resolver)
    lease = RedisLease(self, deadlines)
    for connection in connections {
      connection.onReady = { [unowned self, unowned connection] in ready(connection) }
      connection.onLoss = { [unowned self] in lost($0) }
    }
    listener.onReady = { [unowned self] in listening() }
    listener.onLoss = { [unowned self] in
      isListening = false
      lost($0)
    }
    listener.onMessage = { [unowned self] in heard($0, $1) }
    listener.onSubscribed = { [unowned self] in subscribed($0) }
    for connection in connections + [listener] { connection.open() }
  }

  // MARK: Connections

  /// The connection that carries a run's commands, so that their order holds.
  func connection(for id: String) -> RedisConnection {
    var hash: UInt32 = 2_166_136_261
    for byte in id.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return connections[Int(hash) % connections.count]
  }

  /// A connection for what belongs to no run; nil while there is none.
  var anyConnection: RedisConnection? { connections.first { $0.isReady } }

  private var isUp: Bool { connections.allSatisfy(\.isReady) && isListening }

  var outage: String? {
    if !isUp { return "Redis is not reachable" }
    return lease.isHeld ? nil : "this server has not joined the others in Redis yet"
  }

  var isStarting: Bool { outage != nil && !saidAway }

  private func ready(_ connection: RedisConnection) {
    forgetAbandoned()
    lease.connected()
    // What was under way when the connection was lost may have been carried out or not.
    for run in Array(owned.values) where self.connection(for: run.id) === connection { run.journal?.probe() }
    for follower in Array(followers.values) where self.connection(for: follower.feed.id) === connection {
      follower.commandsAreBack()
    }
    sayWhenBack()
  }

  private func listening() {
    listener.subscribe(keys.inbox(instance))
    // Notices may have gone unheard.
    lease.takeRequests()
    for follower in Array(followers.values) { follower.subscribeAgain() }
  }

  private func sayWhenBack() {
    guard saidAway, isUp else { return }
    saidAway = false
    logger.notice("Redis at \(settings.url) is back")
  }

  private func lost(_ reason: String) {
    reconnects += 1
    // Local subscribers go on while Redis is away.
    for run in Array(owned.values) where run.feed.shownThrough != nil && !connection(for: run.id).isReady {
      run.feed.shownThrough = nil
      run.feed.flush()
    }
    guard !saidAway else { return }
    saidAway = true
    logger.error("Redis at \(settings.url) is away: \(reason); trying again")
  }

  // MARK: Channels

  func subscribe(_ channel: String) { listener.subscribe(channel) }
  func unsubscribe(_ channel: String) { listener.unsubscribe(channel) }

  private func subscribed(_ channel: String) {
    if let follower = follower(of: channel) { return follower.subscribed() }
    guard channel == keys.inbox(instance) else { return }
    isListening = true
    sayWhenBack()
  }

  private func follower(of channel: String) -> Follower? {
    guard let start = channel.firstIndex(of: "{"), let end = channel.lastIndex(of: "}") else { return nil }
    return followers[String(channel[channel.index(after: start)..<end])]
  }

  private func heard(_ channel: String, _ message: [UInt8]) {
    if let follower = follower(of: channel) { return follower.heard(message) }
    if channel == keys.inbox(instance) { askedToCancel(RedisCancel(message: message)) }
  }

  // MARK: The runs of this instance

  var keepSeconds: Int { Limits.redisSettleSeconds }
  var hasUnstored: Bool { owned.values.contains { $0.hasEnded && $0.journal?.isSettled == false } }
  var redisFigures: Metrics.Redis? {
    let pending = owned.values.reduce(0) { sum, run in
      sum + (run.journal.map { max(0, run.log.lastSequence - $0.stored) } ?? 0)
    }
    return Metrics.Redis(isUp: isUp, losses: reconnects, pendingEvents: pending)
  }
  /// Seconds that the keys of a run that has not ended live: every instance may be lost.
  var lifetimeSeconds: Int { server.dockfile.streaming.maxRunSeconds + retentionSeconds }

  /// Writes a run's record; false in the answer when there is one already.
  func createRecord(of run: Run, _ then: @escaping (RedisReply) -> Void) {
    let connection = connection(for: run.id)
    let fields = RedisRecord.created(run.record, owner: instance, key: run.idempotencyKey?.text)
    // Before the record: a run that is listed and does not exist does no harm, one that nobody would look for does.
    var refusal: RedisReply?
    connection.send(RedisCommand("SADD", keys.owned(instance), run.id)) { reply in
      if reply.problem != nil { refusal = reply }
    }
    connection.run(
      .create, keys: [keys.run(run.id).record, keys.run(run.id).events], count: 1 + fields.count * 2,
      arguments: { command in
        command.add("\(lifetimeSeconds)")
        for (name, value) in fields {
          command.add(name)
          value.withUnsafeBytes { command.add($0) }
        }
      },
      { [unowned self] reply in
        if let refusal { return then(refusal) }
        if reply.int == 1 {
          connection.send(RedisCommand("ZADD", keys.runs, "\(run.createdAt / 1000)", run.id)) { _ in }
        }
        then(reply)
      })
  }

  /// Takes back what was listed for a run whose record could not be made.
  func notOwned(_ run: Run) {
    noLongerExpects(run)
    // Another request may be making a run of that id, or have made it.
    guard owned[run.id] == nil, admitting[run.id] == nil else { return }
    connection(for: run.id).send(RedisCommand("SREM", keys.owned(instance), run.id)) { _ in }
  }

  func makeRoom(for growing: Run) {
    letRest()
    while isFull, growing.dropOldestEvent() {}
  }

  func makeRoom(for growing: Follower) {
    letRest()
    while isFull, growing.dropOldestEvent() {}
  }

  private var isFull: Bool { bytes > server.dockfile.streaming.maxLogBytes }

  /// Forgets runs that nobody reads here; Redis has them.
  private func letRest() {
    while isFull, let resting = followers.values.first(where: \.isResting) { forget(resting) }
  }

  func finished(_ run: Run) {}

  /// The end of a run is in Redis.
  func settled(_ run: Run) {
    let connection = connection(for: run.id)
    connection.send(RedisCommand("SREM", keys.owned(instance), run.id)) { _ in }
    if let key = run.idempotencyKey {
      connection.send(RedisCommand("EXPIRE", keys.idempotency(key.text), "\(retentionSeconds)")) { _ in }
    }
  }

  func remove(_ run: Run) {
    // Redis may still be away.
    guard run.journal?.isSettled != false else { return run.keepOn() }
    owned[run.id] = nil
    run.removed()
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

  /// This process was stopped for so long that its runs may have been given up: until Redis says that they are still
  /// ours, nothing more of them is shown.
  func doubt() {
    for run in owned.values where !run.feed.isFinal && connection(for: run.id).isReady {
      run.feed.shownThrough = run.feed.lastSequence
    }
  }

  /// Says something on every connection: Redis may close those that are silent, and one that is dead is noticed.
  private func keepConnections() {
    for connection in connections where connection.isReady { connection.send(RedisCommand("PING")) { _ in } }
    // The listener can only be spoken to through its inbox.
    anyConnection?.send(RedisCommand("PUBLISH", keys.inbox(instance), "")) { _ in }
    let silence = Clock.monotonicNanoseconds() - listener.heardAt
    let most = Int64(settings.commandTimeoutSeconds + settings.leaseSeconds) * 1_000_000_000
    if listener.isReady, anyConnection != nil, silence > most {
      listener.abandon("nothing was heard for too long")
    }
  }

  /// What is done again and again: retries, and a look at what may have been missed.
  func lookAfter(followed: Bool) {
    if followed {
      forgetAbandoned()
      keepConnections()
    }
    for run in Array(owned.values) { run.journal?.pump() }
    if followed { for follower in Array(followers.values) { follower.check() } }
  }

  func askedToCancel(_ cancel: RedisCancel) {
    guard let run = owned[cancel.id] else { return }
    _ = run.cancelByClient(reason: cancel.reason, token: cancel.token)
  }

  // MARK: RunBackend

  func admit(_ request: RunRequest, _ then: @escaping (Result<RunAdmission, ErrorReply>) -> Void) {
    // One lost connection is no reason to refuse runs that others carry.
    if anyConnection == nil || !lease.isHeld, let outage { return then(.failure(.unavailable(outage))) }
    RedisAdmission(request, self, then).begin()
  }

  /// A run that is to execute here, before it has a record.
  func makeRun(_ request: RunRequest) -> Run {
    let run = Run(id: request.id ?? makeID(), server, self)
    run.idempotencyKey = request.key
    return run
  }

  /// An id, where possible of a run whose connection is there.
  private func makeID() -> String {
    for _ in 0..<16 {
      let id = server.makeID()
      if connection(for: id).isReady { return id }
    }
    return server.makeID()
  }

  /// A run whose record is about to be made.
  func expect(_ run: Run) { admitting[run.id] = run }

  private func noLongerExpects(_ run: Run) {
    if admitting[run.id] === run { admitting[run.id] = nil }
  }

  /// Nobody knows whether the record of a run was made, and its client has been told that it was not: it is deleted
  /// when Redis is back, and again while the lost command may still arrive.
  func abandon(_ run: Run) {
    noLongerExpects(run)
    abandoned.append((run, Clock.monotonicNanoseconds() + 60_000_000_000))
  }

  private func forgetAbandoned() {
    let now = Clock.monotonicNanoseconds()
    abandoned.removeAll { $0.until < now }
    for (run, _) in abandoned {
      let connection = connection(for: run.id)
      guard connection.isReady else { continue }
      connection.run(
        .forget, keys: [keys.run(run.id).record, keys.run(run.id).events], count: 2,
        arguments: { command in
          command.add(instance)
          command.add("\(run.createdAt)")
        }, { _ in })
      releaseKey(of: run)
      notOwned(run)
    }
  }

  /// What an idempotency key is taken with.
  func claim(of run: Run) -> String { "\(run.id) \(run.idempotencyKey?.body ?? "") \(run.createdAt)" }

  /// Lets go of the idempotency key of a run that was not made.
  func releaseKey(of run: Run) {
    guard let key = run.idempotencyKey else { return }
    connection(for: run.id).run(
      .release, keys: [keys.idempotency(key.text)], count: 1, arguments: { $0.add(claim(of: run)) }, { _ in })
  }

  /// Whether a run that Redis says is ours is known here.
  func knows(_ id: String) -> Bool {
    owned[id] != nil || admitting[id] != nil || abandoned.contains { $0.run.id == id }
  }

  /// The record of a run has been made: it is ours.
  func adopt(_ run: Run) {
    noLongerExpects(run)
    owned[run.id] = run
    run.journal = RunJournal(run, self)
    // Who waited for it there finds it here.
    followers[run.id].map(forget)
  }

  func record(_ id: String, _ then: @escaping (Result<RunRecord?, ErrorReply>) -> Void) {
    if let run = owned[id] { return then(.success(run.record)) }
    fetch(id, then)
  }

  private func fetch(_ id: String, _ then: @escaping (Result<RunRecord?, ErrorReply>) -> Void) {
    let command = RedisCommand(words: 2 + RedisRecord.names.count)
    command.add("HMGET")
    command.add(keys.run(id).record)
    for name in RedisRecord.names { command.add(name) }
    connection(for: id).send(command) { reply in
      if let problem = reply.problem { return then(.failure(.unavailable(problem))) }
      then(.success(RedisRecord.record(id, reply)))
    }
  }

  func page(_ query: RunPageQuery, _ then: @escaping (Result<RunPage, ErrorReply>) -> Void) {
    guard let page = RedisRunPage(query, self, then) else {
      return then(.failure(.badCursor(query.cursor ?? "")))
    }
    page.begin()
  }

  func cancel(_ id: String, reason: String?, _ then: @escaping (Result<CancelOutcome, ErrorReply>) -> Void) {
    guard let run = owned[id] else {
      return RedisCancel(id: id, token: server.makeID(), reason: reason).send(self, deadlines, then)
    }
    let isAccepted = run.cancelByClient(reason: reason)
    if isAccepted, !connection(for: id).isReady, !run.feed.isFinal {
      return then(.failure(.unavailable("the agent was told to stop; its end is stored when Redis is back")))
    }
    let wait = CancelWait(then)
    run.whenFinal { [unowned self] in
      guard let then = wait.take() else { return }
      // A run that was taken from us meanwhile is asked for like any other.
      guard owned[id] === run else { return cancel(id, reason: reason, then) }
      then(.success(isAccepted ? .cancelled : .finished(run.status)))
    }
    if wait.isOutstanding { _ = setDeadline(seconds: settings.commandTimeoutSeconds, wait) }
  }

  func feed(_ id: String, _ then: @escaping (Result<RunFeed?, ErrorReply>) -> Void) {
    if let run = owned[id] { return then(.success(run.feed)) }
    let follower = followers[id] ?? Follower(RunFeed(id: id, eventsMax: eventsMax), self)
    followers[id] = follower
    follower.whenLoaded { [unowned self] found in
      switch found {
      case .feed: then(.success(follower.feed))
      case .unknown: then(.success(nil))
      case .forgotten: feed(id, then)
      case .unavailable:
        if follower.feed.subscribers.isEmpty { forget(follower) }
        then(.failure(.unavailable("Redis is not reachable")))
      }
    }
  }

  func forget(_ follower: Follower) {
    guard followers[follower.feed.id] === follower else { return }
    followers[follower.feed.id] = nil
    follower.stop()
  }

  func close() {
    lease.release(giveUp: owned.values.allSatisfy { $0.journal?.isSettled != false })
  }

  /// Breaks all connections; after `close`, when its commands are out.
  func disconnect() { for connection in connections + [listener] { connection.close() } }

  // MARK: Deadlines

  func setDeadline(seconds: Int, _ target: any DeadlineTarget) -> DeadlineQueues.Token {
    server.setDeadline(seconds: seconds, target)
  }

  /// Tells the target after a few milliseconds.
  func soon(_ target: any DeadlineTarget) {
    _ = deadlines.set(after: 25_000_000, now: Clock.monotonicNanoseconds(), target)
  }

  func clearDeadline(_ token: DeadlineQueues.Token?) { server.clearDeadline(token) }

  /// Logs that the server has ended a run with a failure of its own.
  func logFailure(of id: String, _ error: AgentError) { server.logFailure(of: .run(id), error) }
}

extension ErrorReply {
  static func unavailable(_ reason: String) -> ErrorReply {
    ErrorReply(503, "BACKEND_UNAVAILABLE", reason, retryAfter: 1)
  }
}
