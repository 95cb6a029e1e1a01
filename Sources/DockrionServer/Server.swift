import DockrionCore
import DockrionLoop
import Glibc
import Logging

/// The server: what it is made of, its tick, and its end. `Dockrion.Server` makes one and runs it.
///
/// One tick: libevent's callbacks, then deadlines, then what other threads have handed over, then what has ended. Nothing
/// frees itself inside its own callback.
final class Server {
  private enum Phase { case serving, draining, flushing, stopping }

  private let loop: EventLoop
  private let deadlines: Deadlines
  private let listener: HTTPListener
  private let inbox: Inbox
  private let board: AgentBoard
  private let book: StreamBook
  private let intake: PayloadIntake
  private let backend: any RunBackend
  private let metrics: Metrics
  private let failures: FailureLog
  private let accessLog: AccessLog?
  private let logger: Logger
  private let place: ListeningPlace
  private let graceSeconds: Int
  private var phase = Phase.serving
  private var (graceEnds, warmUpEnds): (Int64?, Int64?)
  private var (stopRequest, reopenRequest): (LoopRequest?, LoopRequest?)
  private var signals: ServerSignals?

  init(_ dockfile: Dockfile, _ agents: [String: any Agent], _ logger: Logger) throws(ServerError) {
    self.logger = logger
    graceSeconds = dockfile.runtime.shutdownGraceSeconds
    place = ListeningPlace(dockfile, logger)
    _ = LibeventMessages.areLogged
    loop = try ServerError.translating { () throws(LoopError) in try EventLoop() }
    deadlines = Deadlines(loop)
    inbox = Inbox { [wakeup = loop.wakeup] in wakeup.wake() }
    ProcessFacts.preferThroughput()

    let hosts = AgentHosts(dockfile, inbox)
    let (served, standard) = try hosts.served(dockfile, agents, loop, deadlines, logger)
    let api = ServedAPI(dockfile, served, standard: standard)
    let routes = StartRoutes.routes(api) + (api.hasRuns ? RunRoutes.routes : []) + OperatorRoutes.routes(api)

    metrics = Metrics(routes: Router.labels(routes), agents: served.map(\.name))
    failures = FailureLog(logger, deadlines.queues)
    accessLog = try AccessLog.opened(dockfile.runtime.accessLog, deadlines.queues, logger)
    let log = RequestLog(
      routes: Router.labels(routes), ClientAddresses(dockfile.expose), failures, accessLog, deadlines)
    let cors = dockfile.expose.cors.map { CORSPolicy($0, dockfile.auth) }
    let site = SitePolicy(dockfile.expose, cors)
    let headers = { (exchange: Exchange) in cors?.headers(exchange) ?? [] }
    let replies = Replies(metrics, log, headers: headers)
    board = AgentBoard(
      served, standard: standard, AgentBoard.Bounds(dockfile), deadlines, metrics,
      AgentFailures(failures, metrics, deadlines))
    book = StreamBook(
      deadlines, metrics, log, logger, heartbeatSeconds: dockfile.streaming.heartbeatSeconds,
      stallSeconds: dockfile.runtime.stallTimeoutSeconds, headers: headers)
    let ids = RandomIDs()
    let context = RunContext(RunContext.Bounds(dockfile), board, deadlines, metrics, ids)
    if dockfile.streaming.asyncRuns, let redis = dockfile.streaming.redis {
      backend = RedisBackend(redis, context, loop, logger)
    } else {
      backend = MemoryBackend(context)
    }
    intake = PayloadIntake(
      board, replies, deadlines, inbox, worker: hosts.workers.parsing,
      bodyBytesMax: dockfile.runtime.maxBodyBytes)
    listener = try ListeningPlace.listener(loop, deadlines.queues, dockfile.runtime, logger)

    let router = Router(routes, served)
    let gauges = GaugeReader(board, book, backend, listener, hosts.counters, accessLog, dockfile)
    let handlers = RouteHandlers(
      start: StartRoutes(
        board, book, replies, intake, site, ids, backend, allowsClientIDs: api.allowsClientIDs),
      runs: RunRoutes(
        board, book, replies, backend, subscribersMax: dockfile.streaming.maxSubscribersPerRun,
        subscriptionSeconds: dockfile.streaming.defaultTimeoutSeconds),
      operators: OperatorRoutes(
        api, board, backend, replies, router,
        writeMetrics: { [metrics] in metrics.write(gauges.read(), to: &$0) }))
    let dispatcher = Dispatcher(router, board, try APIKeys(dockfile), cors, site, replies, handlers)
    listener.handle = { dispatcher.handle($0) }
    let overflows = OverflowLog(metrics, deadlines, logger)
    listener.onOverflow = { overflows.closed($0) }
    listener.onFlood = { log.flooded($0) }
    if accessLog != nil { listener.onEnd = { log.ended($0) } }
  }

  // MARK: Running

  /// A payload that the default agent takes, as JSON text.
  func example() throws -> String { try ExamplePayload.text(board.standard.inputSchema) }

  /// Opens the listener; returns where clients reach it.
  func listen() throws(ServerError) -> Dockrion.Server.Address { try place.open(listener) }

  /// Turns the loop until agents can run, which fails where one never will, and until runs can be taken or it is known
  /// that they cannot, for a second at most.
  func warmUp() throws(ServerError) {
    try board.beginHosts()
    while board.isStarting, phase == .serving { tick() }
    if let problem = board.startProblem { throw ServerError(.pythonFailed, problem) }
    let end = Clock.monotonicNanoseconds() + Clock.second
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

  /// Ends the processes of agents, also where it has not served.
  func closeHosts() { board.closeHosts { loop.turn(waiting: true) } }

  private func tick() {
    backend.flush()
    // On a core that they share, an agent that is ready can go first, and the loop need not sleep and be woken.
    if board.activeCount > 0, !listener.hasWork { sched_yield() }
    let waiting = !listener.hasWork && !book.hasHeadsToSend && !board.hasUnfinished && inbox.park()
    if waiting { loop.wake(at: nextDeadline, now: Clock.monotonicNanoseconds()) }
    loop.turn(waiting: waiting)
    inbox.unpark()
    let began = loop.refreshNow()
    board.begin(at: began)
    deadlines.queues.pass(now: began)
    inbox.takeAll()
    board.drainUnfinished()
    book.sendHeads()
    // Before the lines of what ends in this tick are written.
    if reopenRequest?.take() == true { accessLog?.reopen() }
    listener.reap()
    metrics.loopLag.add(Clock.monotonicNanoseconds() - began)
    if phase == .serving, stopRequest?.isMade == true { beginStop() }
    if phase == .draining || phase == .flushing { stopIfDrained(began) }
  }

  private var nextDeadline: Int64? {
    [deadlines.queues.earliest, graceEnds, warmUpEnds, listener.acceptsAgainAt].compactMap { $0 }.min()
  }

  // MARK: Stopping

  /// Lets these signals stop the server, and SIGUSR1 reopen its access log unless it is one of them.
  ///
  /// - Throws: `ServerError` when another server of the process handles signals.
  func handleSignals(_ numbers: [Int32]) throws(ServerError) {
    signals = try ServerSignals(
      numbers, loop, accessLog, logger, stop: { [unowned self] in if phase == .serving { beginStop() } })
  }

  /// Gives the signals back.
  func releaseSignals() { signals = nil }

  /// Stops, and reopens its access log, when that is requested.
  func heeds(stop: LoopRequest, reopen: LoopRequest) {
    (stopRequest, reopenRequest) = (stop, reopen)
    for request in [stop, reopen] { request.attach(loop.wakeup) }
  }

  private func beginStop() {
    logger.notice("stopping; \(board.activeCount) agents have \(graceSeconds) s to end")
    phase = .draining
    board.takesRuns = false
    graceEnds = Clock.monotonicNanoseconds() + Int64(graceSeconds) * Clock.second
  }

  private func stopIfDrained(_ now: Int64) {
    let isOver = graceEnds.map { now >= $0 } ?? false
    let isWritten = !listener.hasUnsentBytes && !backend.hasUnstored
    if phase == .flushing {
      if isOver || isWritten { phase = .stopping }
    } else if board.activeCount == 0, board.reservedCount == 0, !intake.isBusy, book.isEmpty, isWritten {
      phase = .stopping
    } else if isOver {
      logger.warning("the grace is over: cancelling \(board.activeCount) agents")
      board.cancelAll(reason: "the server is stopping")
      book.sendAllHeads()
      listener.reap()
      phase = .flushing
      graceEnds = now + Int64(Limits.shutdownFlushSeconds) * Clock.second
    }
  }
}
