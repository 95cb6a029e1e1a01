import DockrionCore
import DockrionLoop
import Glibc
import Logging

/// The server: one loop that owns every connection, run and stream. `Dockrion.serve` makes one and runs it.
///
/// One tick: libevent's callbacks, then deadlines, then what agents have sent, then what has ended. Nothing frees
/// itself inside its own callback.
final class Server {
  /// Memory that is written and read within one call, kept between calls.
  final class Scratch {
    var writer = ByteWriter(capacity: 4096)
  }

  private enum Phase { case serving, draining, flushing, stopping }

  let dockfile: Dockfile
  let agent: any Agent
  /// What payloads are checked against. An agent's own is its code, and asked once.
  let inputSchema: InputSchema?
  let logger: Logger
  let router: Router
  let auth: Authenticator
  let cors: CORSPolicy?
  let site: SitePolicy
  let chunk = Scratch()
  let frame = Scratch()
  let body = Scratch()
  /// The end of `/invoke`'s reply, up to the latency.
  let invokeTail: [UInt8]
  var metrics: Metrics
  let failures: FailureLog
  let accessLog: AccessLog?
  private(set) var backend: (any RunBackend)!
  private let loop: EventLoop
  private let deadlines: DeadlineQueues
  private let listener: HTTPListener
  private let ready: ReadyQueue<Execution>
  private let parsed: ReadyQueue<PayloadParse>
  private var pendingRequests: [ObjectIdentifier: PendingRequest] = [:]
  /// True when the Dockfile's filter lets heartbeats through.
  let hasHeartbeats: Bool
  let unstarted = UnstartedRun()
  private let workers: Workers
  private let workerCounters = WorkerCounters()
  private let withEvents: Execution.Environment
  private let withoutEvents: Execution.Environment
  private var invocations: [Invocation?] = []
  private var freeSlots: [Int] = []
  // Streams that began in this tick and in the one before.
  private var newStreams: [EventStream] = []
  private var streamsToHead: [EventStream] = []
  private var directStreams = 0
  private var subscriptions = 0
  private var phase = Phase.serving
  private var graceEnds: Int64?
  private var warmUpEnds: Int64?
  private var stopRequest: LoopRequest?
  private var reopenRequest: LoopRequest?
  private var handlesSignals = false
  private var reopensOnSignal = false
  private var hasBeenSignalled = false
  private var ids = RandomIDs()
  private var overflowLoggedAt: Int64 = 0
  private var lastNow = Clock.monotonicNanoseconds()

  init(_ dockfile: Dockfile, _ agents: [String: any Agent], _ logger: Logger) throws(ServerError) {
    self.dockfile = dockfile
    self.logger = logger
    guard let agent = agents[dockfile.agent.lookupName] else {
      throw ServerError(.unknownAgent, "\(dockfile.unregisteredAgent(known: Array(agents.keys)))")
    }
    self.agent = agent
    inputSchema = dockfile.inputSchema ?? agent.inputSchema
    auth = try Authenticator(dockfile)
    cors = dockfile.expose.cors.map { CORSPolicy($0, dockfile.auth) }
    site = SitePolicy(dockfile.expose, cors)
    router = Router(dockfile)
    metrics = Metrics(routes: router.metricNames)
    _ = LibeventMessages.areLogged
    let loop = try ServerError.translating { () throws(LoopError) in try EventLoop() }
    let deadlines = DeadlineQueues()
    (self.loop, self.deadlines) = (loop, deadlines)
    failures = FailureLog(logger, deadlines)
    if let path = dockfile.runtime.accessLog {
      accessLog = try AccessLog(path, deadlines, logger)
    } else {
      accessLog = nil
    }
    let wakeup = loop.wakeup
    ready = ReadyQueue { wakeup.wake() }
    parsed = ReadyQueue { wakeup.wake() }
    ProcessFacts.preferThroughput()
    workers = Workers(cores: ProcessFacts.usableCores(), threads: dockfile.runtime.workerThreads)
    let environment = { [ready, workers, workerCounters] hasEvents in
      Execution.Environment(
        Execution.Description(agentName: dockfile.agent.name, framework: dockfile.agent.framework),
        Execution.Route(filter: dockfile.streaming.filter, hasEvents: hasEvents),
        ringCapacity: dockfile.runtime.ringCapacity, ready: ready, workers: workers, counters: workerCounters,
        exposesErrors: dockfile.runtime.exposeErrors)
    }
    (withEvents, withoutEvents) = (environment(true), environment(false))
    hasHeartbeats = dockfile.streaming.filter.passes(.heartbeat)
    let descriptors = ProcessFacts.raiseDescriptorLimit()
    let (connections, warning) = StartAdvice.connections(dockfile.runtime, descriptors: descriptors)
    logger.info("descriptor limit \(descriptors), at most \(connections) connections")
    if let warning { logger.warning("\(warning)") }
    let limits = HTTPListener.Limits(
      maxConnections: connections, bodyBytes: dockfile.runtime.maxBodyBytes,
      requestTimeoutSeconds: dockfile.runtime.requestTimeoutSeconds,
      keepAliveSeconds: dockfile.runtime.keepAliveSeconds,
      stallTimeoutSeconds: dockfile.runtime.stallTimeoutSeconds,
      bufferedBytes: dockfile.runtime.maxBufferedBytes)
    listener = try ServerError.translating { () throws(LoopError) in
      try HTTPListener(loop, deadlines, limits)
    }
    var tail = ByteWriter()
    tail.append(",\"metadata\":{\"agent\":")
    tail.append(json: dockfile.agent.name)
    tail.append(",\"framework\":")
    tail.append(json: dockfile.agent.framework)
    tail.append(",\"latency_seconds\":")
    invokeTail = tail.array()
    if dockfile.streaming.asyncRuns, let redis = dockfile.streaming.redis {
      backend = RedisBackend(redis, self, loop, deadlines, logger)
    } else {
      backend = MemoryBackend(self)
    }
    listener.handle = { [unowned self] in handle($0) }
    listener.onOverflow = { [unowned self] in overflowed($0) }
    listener.onFlood = { [unowned self] in flooded($0) }
    if accessLog != nil { listener.onEnd = { [unowned self] in ended($0) } }
  }

  // MARK: Running

  /// Opens the listeners; returns where clients reach them, such as `http://127.0.0.1:8080` or `unix:/run/d.sock`.
  func listen() throws(ServerError) -> Dockrion.Server.Address {
    if let path = dockfile.expose.unixSocket {
      try ServerError.translating { () throws(LoopError) in try listener.listen(unixSocket: path) }
      return Dockrion.Server.Address(description: "unix:\(path)", port: nil)
    }
    let host = dockfile.expose.host
    let port = try ServerError.translating(advice: StartAdvice.binding) { () throws(LoopError) in
      try listener.listen(host: host, port: dockfile.expose.port)
    }
    let address = Dockrion.Server.Address(
      description: "http://\(host.contains(":") ? "[\(host)]" : host):\(port)", port: port)
    if let warning = StartAdvice.openAddress(dockfile, address.description) { logger.warning("\(warning)") }
    return address
  }

  /// Turns the loop until runs can be taken, or it is known that they cannot, for a second at most.
  func warmUp() {
    let end = Clock.monotonicNanoseconds() + 1_000_000_000
    warmUpEnds = end
    while backend.isStarting, Clock.monotonicNanoseconds() < end { tick() }
    warmUpEnds = nil
  }

  /// Serves until a signal or a request asks it to stop; returns when everything has ended or the grace is over.
  func run() {
    while phase != .stopping { tick() }
    listener.stop()
    backend.close()
    // What the backend says last is written by the loop.
    for _ in 0..<3 {
      backend.flush()
      loop.turn(waiting: false)
    }
    failures.close()
    accessLog?.close()
  }

  private func tick() {
    backend.flush()
    // On a core that they share, an agent that is ready can go first, and the loop need not sleep and be woken.
    if activeCount > 0, !listener.hasWork { sched_yield() }
    let waiting = !listener.hasWork && !hasHeadsToSend && ready.park() && parsed.park()
    if waiting { loop.wake(at: nextDeadline, now: Clock.monotonicNanoseconds()) }
    loop.turn(waiting: waiting)
    ready.unpark()
    parsed.unpark()
    let began = loop.refreshNow()
    lastNow = began
    deadlines.pass(now: began)
    parsed.takeAll { finish($0) }
    ready.takeAll { drain($0) }
    sendHeads()
    listener.reap()
    metrics.loopLag.add(Clock.monotonicNanoseconds() - began)
    if phase == .serving, stopRequest?.isMade == true { beginStop() }
    if reopenRequest?.take() == true { accessLog?.reopen() }
    if phase == .draining || phase == .flushing { stopIfDrained(began) }
  }

  private var nextDeadline: Int64? {
    [deadlines.earliest, graceEnds, warmUpEnds, listener.acceptsAgainAt].compactMap { $0 }.min()
  }

  // MARK: Stopping

  /// True while new runs are taken.
  var isServing: Bool { phase == .serving }

  /// Lets these signals stop the server, and SIGUSR1 reopen its access log unless it is one of them.
  ///
  /// - Throws: `ServerError` when another server of the process handles signals.
  func handleSignals(_ numbers: [Int32]) throws(ServerError) {
    guard !numbers.isEmpty else { return }
    try SignalOwner.take()
    handlesSignals = true
    reopensOnSignal = !numbers.contains(SIGUSR1)
    loop.handleSignals(reopensOnSignal ? numbers + [SIGUSR1] : numbers) { [unowned self] in signalled($0) }
  }

  /// Gives the signals back.
  func releaseSignals() {
    guard handlesSignals else { return }
    handlesSignals = false
    loop.releaseSignals()
    SignalOwner.release()
  }

  /// Stops, and reopens its access log, when that is requested.
  func heeds(stop: LoopRequest, reopen: LoopRequest) {
    (stopRequest, reopenRequest) = (stop, reopen)
    for request in [stop, reopen] { request.attach(loop.wakeup) }
  }

  private func signalled(_ number: Int32) {
    if number == SIGUSR1, reopensOnSignal {
      if accessLog == nil { logger.notice("SIGUSR1: there is no access log to reopen (--access-log)") }
      accessLog?.reopen()
      return
    }
    if hasBeenSignalled {
      logger.notice("second signal, ending at once")
      _exit(128 + number)
    }
    hasBeenSignalled = true
    if phase == .serving { beginStop() }
  }

  private func beginStop() {
    let seconds = dockfile.runtime.shutdownGraceSeconds
    logger.notice("stopping; \(activeCount) agents have \(seconds) s to end")
    phase = .draining
    graceEnds = Clock.monotonicNanoseconds() + Int64(seconds) * 1_000_000_000
  }

  private func stopIfDrained(_ now: Int64) {
    let isOver = graceEnds.map { now >= $0 } ?? false
    if phase == .flushing {
      if isOver || (!listener.hasUnsentBytes && !backend.hasUnstored) { phase = .stopping }
    } else if activeCount == 0, pendingRequests.isEmpty, directStreams == 0, subscriptions == 0,
      runsToStart == 0, !backend.hasUnstored, !listener.hasUnsentBytes
    {
      phase = .stopping
    } else if isOver {
      logger.warning("the grace is over: cancelling \(activeCount) agents")
      for invocation in invocations { invocation?.sink?.cancel(reason: "the server is stopping") }
      for stream in streamsToHead + newStreams { stream.sendHead() }
      listener.reap()
      phase = .flushing
      graceEnds = now + Int64(Limits.shutdownFlushSeconds) * 1_000_000_000
    }
  }

  /// Agents that execute now, behind any route.
  var activeCount: Int { invocations.count - freeSlots.count }

  // MARK: Payloads

  /// Parses a large payload off the loop; `payloadParsed` goes on with it.
  func parseOnWorker(_ parse: PayloadParse, _ request: PendingRequest) {
    pendingRequests[ObjectIdentifier(parse)] = request
    payloadBytes += parse.bytes.count
    parse.start(on: workers.parsing, parsed)
  }

  private func finish(_ parse: PayloadParse) {
    guard let request = pendingRequests.removeValue(forKey: ObjectIdentifier(parse)),
      let outcome = parse.take()
    else { return }
    payloadBytes -= parse.bytes.count
    payloadParsed(request, outcome)
  }

  // MARK: Agents

  /// Starts the agent; nil when as many run as may.
  func start(_ identity: EventEncoder, hasEvents: Bool, input: Payload, _ sink: any EventSink)
    -> Invocation
  {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
    } else {
      slot = invocations.count
      invocations.append(nil)
    }
    let execution = Execution(slot: slot, encoder: identity, hasEvents ? withEvents : withoutEvents)
    let invocation = Invocation(execution, sink, execution.start(agent, input: input.object), startedAt: now)
    invocation.payloadBytes = input.bytes
    payloadBytes += input.bytes
    invocations[slot] = invocation
    return invocation
  }

  /// Bytes that payloads take, of agents that execute and of requests that wait.
  var payloadBytes = 0

  /// Runs whose records are being made.
  var runsToStart = 0

  /// True when one more agent may run.
  var hasRoomForAgent: Bool { activeCount + runsToStart < dockfile.runtime.maxConcurrentRuns }

  /// Takes what an agent has sent and hands it on.
  ///
  /// - Parameter all: takes everything, also when the client has enough waiting: for what comes before an end.
  func drain(_ execution: Execution, all: Bool = false) {
    guard let invocation = invocations[execution.slot], invocation.execution === execution else { return }
    let sink = invocation.sink
    var taken = 0
    while all || sink?.wantsEvents ?? true, let record = execution.next() {
      taken += 1
      if sink != nil, record.count > 0 {
        metrics.emitToWrite.add(max(0, lastNow - record.emittedAt))
      }
      guard record.ending == nil else {
        if case .failed(let error) = record.ending { logFailure(of: invocation, error) }
        invocation.hasEnded = true
        invocations[execution.slot] = nil
        payloadBytes -= invocation.payloadBytes
        freeSlots.append(execution.slot)
        execution.close()
        sink?.receive(record)
        break
      }
      sink?.receive(record)
      if taken == Limits.drainEventsMax, !all {
        execution.markReady()
        break
      }
    }
    if taken > 0 {
      // Behind `started`, which is the server's word and not the agent's.
      if invocation.taken < 2, invocation.taken + taken >= 2, execution.hasEvents {
        metrics.firstEvent(nanoseconds: now - invocation.startedAt)
      }
      invocation.taken += taken
      execution.drained()
      invocation.sink?.flush()
    }
  }

  /// Nobody wants this agent's events any more: it is cancelled, and what it still says is dropped.
  func letGo(_ invocation: Invocation) {
    invocation.sink?.flush()
    if invocation.sink != nil { metrics.runEnded(nanoseconds: now - invocation.startedAt) }
    invocation.sink = nil
    if invocation.hasEnded { return }
    invocation.execution.cancel(invocation.task)
    // What waits in the ring may be its end, or keep it from getting there.
    invocation.execution.markReady()
  }

  // MARK: Streams

  /// Sends the stream's head at the end of the next tick, unless the agent's first event takes it along: a packet
  /// of its own costs more than the event does.
  func sendHeadSoon(_ stream: EventStream) { newStreams.append(stream) }

  private var hasHeadsToSend: Bool { !streamsToHead.isEmpty || !newStreams.isEmpty }

  private func sendHeads() {
    for stream in streamsToHead { stream.sendHead() }
    streamsToHead.removeAll(keepingCapacity: true)
    swap(&streamsToHead, &newStreams)
  }

  func streamOpened(_ pattern: EventStream.Pattern) {
    if pattern == .direct { directStreams += 1 } else { subscriptions += 1 }
  }

  func streamClosed(_ pattern: EventStream.Pattern, _ reason: CloseReason, _ exchange: Exchange) {
    if pattern == .direct { directStreams -= 1 } else { subscriptions -= 1 }
    metrics.streamClosed(reason)
    metrics.request(
      route: exchange.route, method: pattern == .direct ? .post : .get, status: 200,
      nanoseconds: Clock.monotonicNanoseconds() - exchange.startedAt)
    guard reason == .stalled || logger.logLevel <= .debug else { return }
    let seconds = dockfile.runtime.stallTimeoutSeconds
    logger.log(
      level: reason == .stalled ? .notice : .debug,
      reason == .stalled ? "closed a stream: the client took nothing for \(seconds) s" : "a stream has ended",
      metadata: [
        "reason": "\(reason.rawValue)", "route": "\(router.metricNames[exchange.route])",
        "client": "\(client(exchange))",
      ])
  }

  /// The client's address, for the log.
  func client(_ exchange: Exchange) -> String {
    let peer = dockfile.expose.unixSocket == nil ? exchange.connection.peerAddress : "unix"
    if exchange.forwardedFor == nil, !dockfile.expose.trustedProxies.isEmpty {
      exchange.forwardedFor = exchange.readForwardedFor()
    }
    return dockfile.expose.trustedProxies.client(peer: peer, forwardedFor: exchange.forwardedFor)
  }

  /// Counts a connection that was closed to keep within `runtime.max_buffered_bytes`, and says so once a second.
  private func overflowed(_ bytes: Int) {
    metrics.overflows += 1
    guard lastNow - overflowLoggedAt >= 1_000_000_000 else { return }
    overflowLoggedAt = lastNow
    logger.warning(
      "runtime.max_buffered_bytes is reached: closed a connection with \(bytes) waiting bytes, \(metrics.overflows) in all"
    )
  }

  // MARK: Deadlines

  /// The loop's clock, for what may be as old as the tick.
  var now: Int64 { loop.now }

  /// The time limit of an agent whose request is accepted now.
  func setTimeLimit(_ target: any DeadlineTarget, tag: UInt8 = 0) -> DeadlineQueues.Token {
    setDeadline(seconds: dockfile.streaming.maxRunSeconds, target, tag: tag)
  }

  /// Hands a time limit on; one that has passed meanwhile passes again at once.
  func handOn(_ limit: DeadlineQueues.Token, to target: any DeadlineTarget, tag: UInt8 = 0)
    -> DeadlineQueues.Token
  {
    deadlines.hand(limit, to: target, tag: tag) ? limit : setDeadline(seconds: 0, target, tag: tag)
  }

  func setDeadline(seconds: Int, _ target: any DeadlineTarget, tag: UInt8 = 0) -> DeadlineQueues.Token {
    deadlines.set(
      after: Int64(seconds) * 1_000_000_000, now: loop.now, target, tag: tag)
  }

  func renewDeadline(_ token: DeadlineQueues.Token?) {
    if let token { deadlines.renew(token, now: loop.now) }
  }

  func clearDeadline(_ token: DeadlineQueues.Token?) { deadlines.clear(token) }

  // MARK: For handlers

  /// `started`, for what is over before a worker got to it: every stream begins with it.
  func startedRecord(_ encoder: EventEncoder) -> EventRecord {
    encoder.startedRecord(agentName: dockfile.agent.name, framework: dockfile.agent.framework)
  }

  func makeID() -> String { ids.next() }

  func writeMetrics(to out: inout ByteWriter) {
    metrics.write(
      Metrics.Gauges(
        activeRuns: activeCount, directStreams: directStreams, subscriptions: subscriptions,
        ringFullWaits: workerCounters.ringFullWaits.load(ordering: .relaxed), logBytes: backend.bytes,
        payloadBytes: payloadBytes,
        sentBytes: listener.sentBytes, connections: listener.connectionCount,
        bufferedBytes: listener.bufferedBytes,
        limits: Metrics.Limits(
          runs: dockfile.runtime.maxConcurrentRuns, connections: listener.limits.maxConnections,
          logBytes: dockfile.streaming.maxLogBytes, payloadBytes: dockfile.runtime.maxPayloadBytes,
          descriptors: ProcessFacts.descriptorLimit()),
        redis: backend.redisFigures,
        accessLogLost: accessLog?.lostLines),
      to: &out)
  }
}
