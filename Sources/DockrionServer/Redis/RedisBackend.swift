import DequeModule
import DockrionCore
import DockrionLoop
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
  let batch = Scratch()
  let logger: Logger
  var bytes = 0
  var search = RoomSearch()
  var owned: [String: Run] = [:]
  /// The journals of those whose end is not stored: far fewer than there are runs that rest here after their end.
  var writing: [RunJournal] = []
  var reconnects = 0
  /// Bytes of events of all runs that wait for Redis.
  var waitingBytes = 0
  /// How often the lease was given anew: what Redis said of a run before may not hold any more.
  var lapses = 0
  /// The fields of every new record, but for the moment.
  let createdFields: [RedisWords]
  /// Seconds that the keys of a run that has not ended live, as Redis reads them.
  let lifetime: String
  /// True from three quarters of a lease without a renewal on: what Redis lacks is shown to nobody, since others may
  /// have ended the runs.
  var isWithholding = false
  var followers: [String: Follower] = [:]
  // Followers that nobody needed when they were last looked at, and our runs whose end is stored, oldest first.
  var resting: [Follower] = []
  var rested: Deque<Run> = []
  // Cancels that wait for the end of a run that executes elsewhere.
  var watches: [String: [CancelWatch]] = [:]
  let context: RunContext
  let deadlines: DeadlineQueues
  let connections: [RedisConnection]
  // One for each connection.
  let listings: [RunListing]
  // What has something to write at the end of the tick.
  var unflushedListings: [RunListing] = []
  var unwritten: [RedisConnection] = []
  // Which connection new runs go to.
  private(set) var turn = 0
  let listener: RedisConnection
  private(set) var lease: RedisLease!
  var saidAway = false
  // What Redis refused when a connection was last lost.
  var lossRefusal: RedisRefusal?
  var refusals = RefusalMemory()
  // The inbox is subscribed to: the listener hears what it is told.
  var isListening = false
  // Runs whose records are being made, and those that were given up without knowing whether they were.
  var admitting: [String: Run] = [:]
  var unconfirmed: [UnconfirmedRun] = []

  init(
    _ settings: Dockfile.Redis, _ context: RunContext, _ loop: EventLoop, _ logger: Logger
  ) {
    self.settings = settings
    self.context = context
    let deadlines = context.deadlines.queues
    self.deadlines = deadlines
    self.logger = logger
    keys = RedisKeys(prefix: settings.keyPrefix)
    instance = context.ids.next()
    eventsMax = context.bounds.eventsMax
    retentionSeconds = context.bounds.retentionSeconds
    pendingBytesMax = settings.maxPendingBytes
    createdFields = context.board.agents.map { [instance] in RedisRecord.createdWords($0, owner: instance) }
    lifetime = "\(context.bounds.runSeconds + retentionSeconds)"
    let resolver = RedisResolver(loop)
    var connecting = RedisConnection.Settings(
      url: settings.url, connectTimeoutSeconds: settings.connectTimeoutSeconds,
      commandTimeoutSeconds: settings.commandTimeoutSeconds)
    connections = (0..<settings.connections).map { _ in RedisConnection(connecting, loop, deadlines, resolver)
    }
    let (owned, runs) = (keys.owned(instance), keys.runs)
    listings = connections.map { RunListing($0, owned: owned, runs: runs) }
    connecting.loadsScripts = false
    listener = RedisConnection(connecting, loop, deadlines, resolver)
    lease = RedisLease(self, deadlines)
    for connection in connections {
      connection.onReady = { [unowned self, unowned connection] in ready(connection) }
      connection.onLoss = { [unowned self] in lost($0, $1) }
      connection.onUnwritten = { [unowned self, unowned connection] in unwritten.append(connection) }
    }
    for listing in listings {
      listing.onUnflushed = { [unowned self, unowned listing] in unflushedListings.append(listing) }
    }
    listener.onReady = { [unowned self] in listening() }
    listener.onLoss = { [unowned self] in
      isListening = false
      lost($0, $1)
    }
    listener.onMessage = { [unowned self] in heard($0, $1) }
    listener.onSubscribed = { [unowned self] in subscribed($0) }
    for connection in connections + [listener] { connection.open() }
  }

  // MARK: RunBackend

  func admit(_ request: RunRequest, _ then: @escaping (Result<RunAdmission, BackendProblem>) -> Void) {
    // One lost connection is no reason to refuse runs that others carry.
    let isRefused = lossRefusal != nil && !isListening
    if anyConnection == nil || !lease.isHeld || isRefused, let outage = outageForClients {
      return then(.failure(.unavailable(outage)))
    }
    RedisAdmission(request, self, then).begin()
  }

  /// A run that is to execute here, before it has a record.
  func makeRun(_ request: RunRequest) -> Run {
    let run = Run(id: request.id ?? context.ids.next(), request.agent, context, self)
    run.idempotencyKey = request.key
    return run
  }

  /// The record of a run has been made: it is ours.
  func adopt(_ run: Run) {
    noLongerExpects(run)
    owned[run.id] = run
    run.journal = RunJournal(run, self)
    if isWithholding { run.feed.shownThrough = 0 }
    // Who waited for it there finds it here.
    followers[run.id].map(forget)
  }

  func record(_ id: String, _ then: @escaping (Result<RunRecord?, BackendProblem>) -> Void) {
    if let run = owned[id] { return then(.success(run.record)) }
    fetch(id, then)
  }

  private func fetch(_ id: String, _ then: @escaping (Result<RunRecord?, BackendProblem>) -> Void) {
    let command = RedisCommand(words: 2 + RedisRecord.names.count)
    command.add("HMGET")
    command.add(keys.run(id).record)
    for name in RedisRecord.names { command.add(name) }
    connection(for: id).send(command) { [unowned self] reply in
      if let problem = reply.problem { return then(.failure(.unavailable(problem))) }
      let record = RedisRecord.record(id, reply)
      guard RedisRecord.isUnconfirmed(reply) else { return then(.success(record)) }
      tell(id) { position, problem in
        if let problem { return then(.failure(.unavailable(problem))) }
        then(.success(position == nil ? nil : record))
      }
    }
  }

  /// How far a run has come; nil when there is no such run.
  ///
  /// - Parameter tells: somebody is answered with it, so that it must not be taken back.
  func position(
    of id: String, tells: Bool, _ then: @escaping (_ position: RunPosition?, _ problem: String?) -> Void
  ) {
    let command = RedisCommand(words: 2 + RunPosition.names.count)
    command.add("HMGET")
    command.add(keys.run(id).record)
    for name in RunPosition.names { command.add(name) }
    connection(for: id).send(command) { [unowned self] reply in
      let position = RunPosition(reply)
      if tells, position?.isTold == false { return tell(id, then) }
      then(position, reply.problem)
    }
  }

  private func tell(
    _ id: String, _ then: @escaping (_ position: RunPosition?, _ problem: String?) -> Void
  ) {
    connection(for: id).run(
      .tell, keys: [keys.run(id).record], count: 0, arguments: { _ in },
      { reply in then(RunPosition(reply), reply.problem) })
  }

  func page(_ query: RunPageQuery, _ then: @escaping (Result<RunPage, BackendProblem>) -> Void) {
    guard let page = RedisRunPage(query, self, then) else {
      return then(.failure(.badCursor(query.cursor ?? "")))
    }
    page.begin()
  }

  func cancel(
    _ id: String, reason: String?, _ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void
  ) {
    guard let run = owned[id] else {
      return RedisCancel(id: id, token: context.ids.next(), reason: reason).send(self, then)
    }
    let isAccepted = run.cancelByClient(reason: reason)
    if isAccepted, !connection(of: run).isReady, !run.feed.isFinal {
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

  func feed(_ id: String, _ then: @escaping (Result<RunFeed?, BackendProblem>) -> Void) {
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

  func flush() {
    if !unflushedListings.isEmpty { turn = (turn + 1) % connections.count }
    while let listing = unflushedListings.popLast() { listing.flush() }
    while let connection = unwritten.popLast() { connection.flush() }
  }

  func close() {
    lease.release(giveUp: unconfirmed.isEmpty && owned.values.allSatisfy { $0.journal?.isSettled != false })
  }

  /// Breaks all connections; after `close`, when its commands are out.
  func disconnect() { for connection in connections + [listener] { connection.close() } }

  // MARK: Deadlines

  func setDeadline(seconds: Int, _ target: any DeadlineTarget) -> DeadlineQueues.Token {
    context.deadlines.set(seconds: seconds, target)
  }

  /// Tells the target after a few milliseconds.
  func soon(_ target: any DeadlineTarget) {
    _ = deadlines.set(after: 25_000_000, now: Clock.monotonicNanoseconds(), target)
  }

  func clearDeadline(_ token: DeadlineQueues.Token?) { context.deadlines.clear(token) }

  /// Logs that the server has ended a run with a failure of its own.
  func logFailure(of id: String, _ error: AgentError) {
    context.board.failures.ended(.run(id), of: context.board.standard, error)
  }
}
