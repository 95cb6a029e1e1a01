import DockrionCore

// The connections to Redis, what is heard on its channels, and what is said when it is away.
extension RedisBackend {
  // MARK: Connections

  /// The connection that carries what is asked of a run that others execute, so that its order holds.
  func connection(for id: String) -> RedisConnection {
    var hash: UInt32 = 2_166_136_261
    for byte in id.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
    return connections[Int(hash) % connections.count]
  }

  /// The connection that carries the commands of a run that executes here, so that their order holds.
  func connection(of run: Run) -> RedisConnection { listing(of: run).connection }

  /// What lists a run on its connection.
  func listing(of run: Run) -> RunListing {
    let lane = run.lane ?? laneOfTick
    run.lane = lane
    return listings[lane]
  }

  /// Where the runs go that this tick brings: all to one connection, since a write and a read for each connection cost
  /// more than the commands; and the next tick's to the next one, so that no connection carries all large events.
  private var laneOfTick: Int {
    for offset in listings.indices {
      let lane = (turn + offset) % listings.count
      if listings[lane].connection.isReady { return lane }
    }
    return turn
  }

  /// A connection for what belongs to no run; nil while there is none.
  var anyConnection: RedisConnection? { connections.first { $0.isReady } }

  var isUp: Bool { connections.allSatisfy(\.isReady) && isListening }

  /// Why Redis does not do as it is asked, if it answers at all.
  private var standingRefusal: RedisRefusal? { isUp ? lease.refusal : lossRefusal }

  var outage: String? {
    if let refusal = standingRefusal { return "\(refusal.reason); \(refusal.remedy)" }
    return outageForClients
  }

  /// The same for those who can do nothing about it.
  var outageForClients: String? {
    if let refusal = standingRefusal { return refusal.reason }
    if !isUp { return "Redis is not reachable" }
    if lease.isHeld { return nil }
    return lapses > 0
      ? "this server's lease in Redis has lapsed" : "this server has not joined the others in Redis yet"
  }

  var isStarting: Bool { outageForClients != nil && !saidAway && standingRefusal == nil }

  func ready(_ connection: RedisConnection) {
    settleUnconfirmed()
    lease.connected()
    // What was under way when the connection was lost may have been carried out or not.
    for run in Array(owned.values) where self.connection(of: run) === connection { run.journal?.probe() }
    for follower in Array(followers.values) where self.connection(for: follower.feed.id) === connection {
      follower.commandsAreBack()
    }
    sayWhenBack()
  }

  func listening() {
    listener.subscribe(keys.inbox(instance))
    // Notices may have gone unheard.
    lease.takeRequests()
    for follower in Array(followers.values) { follower.subscribeAgain() }
    for id in watches.keys { listener.subscribe(keys.run(id).channel) }
  }

  func sayWhenBack() {
    guard isUp else { return }
    lossRefusal = nil
    guard saidAway else { return }
    saidAway = false
    logger.notice("Redis at \(settings.url) is back")
  }

  func lost(_ reason: String, _ refusal: RedisRefusal?) {
    reconnects += 1
    lossRefusal = refusal
    if saidAway {
      // Redis is there again, and has something against us.
      if let refusal, refusal.kind != .busy { refused(refusal) }
      return
    }
    saidAway = true
    if let refusal { return refused(refusal) }
    logger.error("Redis at \(settings.url) is away: \(reason); trying again")
  }

  /// Tells the log what Redis refuses, once for each kind.
  func refused(_ refusal: RedisRefusal) {
    guard refusals.isNews(refusal.kind, now: Clock.monotonicNanoseconds()) else { return }
    logger.error(
      "\(refusal.reason): Redis at \(settings.url) answers \(refusal.command) with \"\(refusal.answer)\"; \(refusal.remedy)"
    )
  }

  /// Says something on every connection: Redis may close those that are silent, and one that is dead is noticed.
  func keepConnections() {
    for connection in connections where connection.isReady { connection.send(RedisCommand("PING")) { _ in } }
    // The listener can only be spoken to through its inbox.
    anyConnection?.send(RedisCommand("PUBLISH", keys.inbox(instance), "")) { [unowned self] reply in
      if let refusal = reply.refusal(of: "PUBLISH") { refused(refusal) }
    }
    let silence = Clock.monotonicNanoseconds() - listener.heardAt
    let most = Int64(settings.commandTimeoutSeconds + settings.leaseSeconds) * Clock.second
    if listener.isReady, anyConnection != nil, silence > most {
      listener.abandon("nothing was heard for too long")
    }
  }

  // MARK: Channels

  func subscribe(_ channel: String) { listener.subscribe(channel) }

  /// Lets go of a run's channel, unless somebody else here needs it.
  func unsubscribe(from id: String) {
    guard watches[id] == nil, followers[id]?.isListening != true else { return }
    listener.unsubscribe(keys.run(id).channel)
  }

  /// Tells a cancel of what is said about its run.
  func watch(_ watch: CancelWatch) {
    watches[watch.wish.id, default: []].append(watch)
    // The end may come before the subscription stands: the watch looks when it does.
    listener.subscribe(keys.run(watch.wish.id).channel)
  }

  func unwatch(_ watch: CancelWatch) {
    let id = watch.wish.id
    watches[id]?.removeAll { $0 === watch }
    guard watches[id]?.isEmpty == true else { return }
    watches[id] = nil
    unsubscribe(from: id)
  }

  func subscribed(_ channel: String) {
    if let id = run(of: channel) {
      followers[id]?.subscribed()
      for watch in watches[id] ?? [] { watch.look() }
      return
    }
    guard channel == keys.inbox(instance) else { return }
    isListening = true
    sayWhenBack()
  }

  /// The run whose channel it is.
  private func run(of channel: String) -> String? {
    guard let start = channel.firstIndex(of: "{"), let end = channel.lastIndex(of: "}") else { return nil }
    return String(channel[channel.index(after: start)..<end])
  }

  func heard(_ channel: String, _ message: [UInt8]) {
    if let id = run(of: channel) {
      followers[id]?.heard(message)
      for watch in watches[id] ?? [] { watch.heard(message) }
      return
    }
    if channel == keys.inbox(instance) { askedToCancel(RedisCancel(message: message)) }
  }
}
