import CHiredis
import CLibevent
import DockrionCore
import DockrionLoop
import Glibc

/// One connection to Redis on the event loop: connecting, signing in, timeouts, and coming back after a loss.
///
/// Commands are pipelined and answered in order. A command that is sent while the connection is not ready is
/// answered with `.unsent` at once; nothing is queued here, and who must not lose a write keeps it.
final class RedisConnection: DeadlineTarget {
  struct Settings {
    let url: RedisURL
    let connectTimeoutSeconds: Int
    let commandTimeoutSeconds: Int
    /// Scripts to load before the connection is ready.
    var loadsScripts = true
  }

  private enum State { case waiting, connecting, signingIn, ready, closed }

  private enum Tag {
    static let connect: UInt8 = 0
    static let command: UInt8 = 1
    static let retry: UInt8 = 2
  }

  /// What waits for an answer; hiredis carries it.
  private final class Pending {
    let connection: RedisConnection
    let then: (RedisReply) -> Void

    init(_ connection: RedisConnection, _ then: @escaping (RedisReply) -> Void) {
      self.connection = connection
      self.then = then
    }
  }

  private let settings: Settings
  private let loop: EventLoop
  private let deadlines: DeadlineQueues
  private let resolver: RedisResolver
  private var context: UnsafeMutablePointer<redisAsyncContext>?
  private var state = State.waiting
  private var deadline: DeadlineQueues.Token?
  private var pendingCount = 0
  private var answered = 0
  private var answeredAtDeadline = 0
  private var pendingReason: String?
  private var failures = 0
  /// When something last came on a channel, or the connection became ready.
  private(set) var heardAt: Int64 = 0
  // What Redis calls the scripts it has loaded.
  private var digests: [RedisScript: String] = [:]

  // Commands of this tick that are not written yet.
  private var hasUnwritten = false

  /// Told of the first command since the last `flush`.
  var onUnwritten: () -> Void = {}
  /// Told when commands can be sent.
  var onReady: () -> Void = {}
  /// Told when a connection that was being made, or was ready, is lost, with the reason, and what Redis refused if
  /// that is why.
  var onLoss: (_ reason: String, _ refusal: RedisRefusal?) -> Void = { _, _ in }
  /// Gets what comes on a channel that was subscribed to.
  var onMessage: (_ channel: String, _ message: [UInt8]) -> Void = { _, _ in }
  /// Told that a subscription stands.
  var onSubscribed: (_ channel: String) -> Void = { _ in }

  init(_ settings: Settings, _ loop: EventLoop, _ deadlines: DeadlineQueues, _ resolver: RedisResolver) {
    self.settings = settings
    self.loop = loop
    self.deadlines = deadlines
    self.resolver = resolver
  }

  var isReady: Bool { state == .ready }

  // MARK: Connecting

  func open() {
    guard state == .waiting else { return }
    state = .connecting
    set(seconds: settings.connectTimeoutSeconds, Tag.connect)
    switch settings.url.place {
    case .unix(let path): attach(redisAsyncConnectUnix(path))
    case .tcp(let host, let port):
      resolver.resolve(host) { [weak self] result in
        guard let self, self.state == .connecting, self.context == nil else { return }
        switch result {
        case .success(let address): self.attach(redisAsyncConnect(address, Int32(port)))
        case .failure(let problem): self.lose("cannot resolve \"\(host)\": \(problem)")
        }
      }
    }
  }

  private func attach(_ made: UnsafeMutablePointer<redisAsyncContext>?) {
    guard let made else { return lose("no memory for a connection") }
    guard made.pointee.err == 0 else {
      let reason = String(cString: made.pointee.errstr)
      redisAsyncFree(made)
      return lose(reason)
    }
    made.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    context = made
    redisLibeventAttach(made, loop.base)
    keepReading(made)
    redisAsyncSetConnectCallback(made) { context, status in
      guard let context, let me = context.pointee.data else { return }
      Unmanaged<RedisConnection>.fromOpaque(me).takeUnretainedValue().connected(context, status)
    }
    redisAsyncSetDisconnectCallback(made) { context, _ in
      guard let context, let me = context.pointee.data else { return }
      Unmanaged<RedisConnection>.fromOpaque(me).takeUnretainedValue().disconnected(context)
    }
  }

  /// hiredis asks for each read anew, which is a system call each; this event stays asked for.
  private func keepReading(_ made: UnsafeMutablePointer<redisAsyncContext>) {
    guard let events = made.pointee.ev.data?.assumingMemoryBound(to: redisLibeventEvents.self),
      let reading = event_new(
        loop.base, made.pointee.c.fd, Int16(EV_READ | EV_PERSIST),
        { _, _, context in redisAsyncHandleRead(context?.assumingMemoryBound(to: redisAsyncContext.self)) },
        made)
    else { return }
    event_free(events.pointee.rev)
    events.pointee.rev = reading
    event_add(reading, nil)
  }

  private func connected(_ context: UnsafePointer<redisAsyncContext>, _ status: Int32) {
    guard status == REDIS_OK else {
      // hiredis frees the context after this.
      self.context = nil
      return lose(Self.reason(context))
    }
    var one: Int32 = 1
    setsockopt(context.pointee.c.fd, SOL_SOCKET, SO_KEEPALIVE, &one, 4)
    if case .tcp = settings.url.place {
      setsockopt(context.pointee.c.fd, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    }
    state = .signingIn
    signIn()
  }

  private func signIn() {
    let url = settings.url
    var steps: [(command: RedisCommand, name: String)] = []
    var loading: [Int: RedisScript] = [:]
    if let password = url.password {
      let command = url.user.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password)
      steps.append((command, "AUTH"))
    }
    if url.database != 0 {
      steps.append((RedisCommand("SELECT", "\(url.database)"), "SELECT \(url.database)"))
    }
    for script in RedisScript.allCases where settings.loadsScripts {
      loading[steps.count] = script
      steps.append((RedisCommand("SCRIPT", "LOAD", script.text), "SCRIPT LOAD"))
    }
    // Answers that mean "not now", such as LOADING after a restart, come to this one in any case.
    steps.append((RedisCommand("PING"), "PING"))
    for (index, step) in steps.enumerated() {
      let isLast = index == steps.count - 1
      transmit(step.command) { [unowned self] reply in
        guard state == .signingIn else { return }
        if let refusal = reply.refusal(of: step.name) {
          return abandon("\(step.name): \(refusal.answer)", refusal)
        }
        if let script = loading[index] { digests[script] = reply.text }
        if isLast, reply.problem == nil { becomeReady() }
      }
    }
  }

  private func becomeReady() {
    state = .ready
    // A connection that listens has proved itself once a subscription stands.
    if settings.loadsScripts { failures = 0 }
    heardAt = Clock.monotonicNanoseconds()
    clearDeadline()
    onReady()
  }

  // MARK: Commands

  /// Sends a command; `then` gets the answer in a later turn of the loop, or `.disconnected`; `.unsent` at once.
  func send(_ command: RedisCommand, _ then: @escaping (RedisReply) -> Void) {
    guard state == .ready else { return then(.unsent) }
    transmit(command, then)
  }

  /// Runs a script. `arguments` adds as many words as `count` says.
  func run(
    _ script: RedisScript, keys: [String], count: Int, arguments: (RedisCommand) -> Void,
    _ then: @escaping (RedisReply) -> Void
  ) {
    guard state == .ready, let digest = digests[script] else { return then(.unsent) }
    let command = RedisCommand(words: 3 + keys.count + count)
    command.add("EVALSHA")
    command.add(digest)
    command.add("\(keys.count)")
    for key in keys { command.add(key) }
    arguments(command)
    transmit(command) { [unowned self] reply in
      // Somebody has emptied Redis' scripts: a new connection loads them again.
      if case .failure(let problem) = reply, problem.hasPrefix("NOSCRIPT") {
        abandonSoon("Redis has lost its scripts")
        return then(.disconnected)
      }
      then(reply)
    }
  }

  /// `abandon`, from within an answer.
  private func abandonSoon(_ reason: String) {
    guard state == .ready else { return }
    set(seconds: 0, Tag.command)
    pendingReason = reason
  }

  private func transmit(_ command: RedisCommand, _ then: @escaping (RedisReply) -> Void) {
    guard let context else { return then(.unsent) }
    let pending = Unmanaged.passRetained(Pending(self, then))
    let status = command.withBytes { start, count in
      redisAsyncFormattedCommand(
        context,
        { _, reply, pending in
          let pending = Unmanaged<Pending>.fromOpaque(pending!).takeRetainedValue()
          let reply = reply.map { RedisReply(UnsafePointer($0.assumingMemoryBound(to: redisReply.self))) }
          pending.connection.took(reply ?? .disconnected, pending.then)
        }, pending.toOpaque(), start, count)
    }
    guard status == REDIS_OK else {
      pending.release()
      return then(.unsent)
    }
    pendingCount += 1
    if pendingCount == 1, state == .ready, pendingReason == nil { watch() }
    if !hasUnwritten {
      hasUnwritten = true
      onUnwritten()
    }
  }

  /// Writes what was sent, in place of a turn of the loop that finds the socket writable; what does not fit waits for
  /// such a turn. Not from within an answer.
  func flush() {
    hasUnwritten = false
    guard state == .ready, let context else { return }
    redisAsyncHandleWrite(context)
  }

  private func took(_ reply: RedisReply, _ then: (RedisReply) -> Void) {
    pendingCount -= 1
    answered += 1
    if pendingCount == 0, state == .ready, pendingReason == nil { clearDeadline() }
    then(reply)
  }

  private func watch() {
    answeredAtDeadline = answered
    set(seconds: settings.commandTimeoutSeconds, Tag.command)
  }

  /// Subscribes to a channel; `onSubscribed` says when, and again after every loss only when asked again.
  func subscribe(_ channel: String) { sendForChannel("SUBSCRIBE", channel) }

  func unsubscribe(_ channel: String) { sendForChannel("UNSUBSCRIBE", channel) }

  private func sendForChannel(_ word: String, _ channel: String) {
    guard state == .ready, let context else { return }
    // It fails for a connection that is going down, and then `onReady` comes again.
    _ = RedisCommand(word, channel).withBytes { start, count in
      redisAsyncFormattedCommand(
        context,
        { context, reply, _ in
          guard let me = context?.pointee.data, let reply else { return }
          let pointer = UnsafePointer(reply.assumingMemoryBound(to: redisReply.self))
          Unmanaged<RedisConnection>.fromOpaque(me).takeUnretainedValue().heard(RedisReply(pointer))
        }, nil, start, count)
    }
  }

  private func heard(_ reply: RedisReply) {
    guard let parts = reply.array, parts.count == 3, let kind = parts[0].text, let channel = parts[1].text
    else {
      return
    }
    heardAt = Clock.monotonicNanoseconds()
    if kind == "subscribe" { failures = 0 }
    if kind == "message", let message = parts[2].bytes { onMessage(channel, message) }
    if kind == "subscribe" { onSubscribed(channel) }
  }

  // MARK: Loss

  func deadlinePassed(_ tag: UInt8) {
    deadline = nil
    switch tag {
    case Tag.retry: open()
    case Tag.command where pendingReason == nil && answered > answeredAtDeadline && pendingCount > 0: watch()
    case Tag.command:
      abandon(pendingReason ?? "no answer for \(settings.commandTimeoutSeconds) s")
    default: abandon("no connection within \(settings.connectTimeoutSeconds) s")
    }
  }

  /// Gives the connection up and tries again later.
  func abandon(_ reason: String, _ refusal: RedisRefusal? = nil) {
    guard state != .waiting, state != .closed else { return }
    let freed = context
    context = nil
    lose(reason, refusal)
    if let freed {
      // Answers everything that waits with `.disconnected`.
      freed.pointee.onDisconnect = nil
      redisAsyncFree(freed)
    }
  }

  private func disconnected(_ context: UnsafePointer<redisAsyncContext>) {
    guard self.context.map({ UnsafePointer($0) }) == context else { return }
    self.context = nil
    let reason = Self.reason(context)
    // hiredis takes a refused subscription, which answers nothing that it waits for, as the end of the connection.
    let refusal = RedisRefusal(command: "SUBSCRIBE", answer: reason)
    lose(reason, settings.loadsScripts || refusal.kind == .other ? nil : refusal)
  }

  private func lose(_ reason: String, _ refusal: RedisRefusal? = nil) {
    guard state != .waiting, state != .closed else { return }
    state = .waiting
    pendingReason = nil
    onLoss(reason, refusal)
    // 50 ms, doubled up to 3.2 s, of which a random half is left out: many servers should not come at once.
    let full = Int64(50_000_000) << min(failures, 6)
    failures += 1
    clearDeadline()
    deadline = deadlines.set(
      after: full / 2 + Int64.random(in: 0..<8) * full / 16, now: Clock.monotonicNanoseconds(), self,
      tag: Tag.retry)
  }

  /// Ends the connection for good.
  func close() {
    clearDeadline()
    state = .closed
    guard let freed = context else { return }
    context = nil
    freed.pointee.onDisconnect = nil
    redisAsyncFree(freed)
  }

  private static func reason(_ context: UnsafePointer<redisAsyncContext>) -> String {
    guard context.pointee.c.err != 0 else { return "Redis closed the connection" }
    return withUnsafeBytes(of: context.pointee.c.errstr) { text in
      String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }
  }

  private func set(seconds: Int, _ tag: UInt8) {
    clearDeadline()
    deadline = deadlines.set(
      after: Int64(seconds) * Clock.second, now: Clock.monotonicNanoseconds(), self, tag: tag)
  }

  private func clearDeadline() {
    deadlines.clear(deadline)
    deadline = nil
  }
}
