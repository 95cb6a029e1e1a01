import DequeModule
import DockrionCore
import DockrionLoop
import Glibc
import Logging

/// Runs one Python agent in processes of its own: a zygote that imports it, and the workers that it forks.
final class PythonPool: AgentHost {
  let settings: PythonSettings
  let loop: EventLoop
  let deadlines: Deadlines
  let logger: Logger
  /// Where workers read into, one after the other.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Limits.pythonReadBytes, alignment: 16)
  var onReady: (_ ticket: Int) -> Void = { _ in }
  private(set) var isStarting = true
  private(set) var startProblem: String?
  private let cores: Int
  private var zygote: PythonZygote?
  private var generation = 0
  private var zygoteCrashes = 0
  private lazy var zygoteTimer = LoopTimer(loop) { [unowned self] in zygoteTimePassed() }
  private var places: [PythonPlace] = []
  // How many processes there will be is known when the agent is imported.
  private var isSettled = false
  private var workers: [Int: PythonWorker] = [:]
  private var lastNumber = 0
  private var waiting = Deque<PythonRun>()
  private var waitingCount = 0
  private var fresh: [PythonRun] = []
  private lazy var freshTimer = LoopTimer(loop) { [unowned self] in tellFresh() }
  private lazy var second = LoopTimer(loop) { [unowned self] in secondPassed() }
  private var noneSince: Int64?
  private var lastDeath: PythonDeath?
  private var isClosing = false
  private var head = ByteWriter()
  private var payload = ByteWriter()

  init(
    _ settings: PythonSettings, _ loop: EventLoop, _ deadlines: Deadlines, _ logger: Logger, cores: Int
  ) {
    self.settings = settings
    self.loop = loop
    self.deadlines = deadlines
    var logger = logger
    logger[metadataKey: "agent"] = "\(settings.agentName)"
    // What agents print is looked for, and what they log from `info` on.
    if logger.logLevel == .notice { logger.logLevel = .info }
    self.logger = logger
    self.cores = cores
  }

  deinit { buffer.deallocate() }

  // MARK: Start and end

  func begin() throws(ServerError) {
    places = [PythonPlace(0, self)]
    noneSince = deadlines.now
    try startZygote()
    second.set(microseconds: 1_000_000)
  }

  private func startZygote() throws(ServerError) {
    generation += 1
    zygote = try PythonZygote(settings, loop, self)
    zygoteTimer.set(microseconds: settings.python.importTimeoutSeconds * 1_000_000)
  }

  func close() {
    guard !isClosing else { return }
    isClosing = true
    zygoteTimer.clear()
    for place in places { place.timer.clear() }
    for worker in workers.values {
      if worker.runs.isEmpty { worker.leave() } else { worker.end(.stopped) }
    }
  }

  var isClosed: Bool { workers.isEmpty }

  func kill() {
    close()
    second.clear()
    for worker in workers.values { worker.end(.stopped) }
    zygote?.end()
    zygote = nil
    workers.removeAll()
    for index in places.indices { places[index].clear() }
  }

  private func failStart(_ text: String) {
    guard isStarting, startProblem == nil else { return }
    startProblem = text
    isStarting = false
  }

  // MARK: Runs

  var outage: String? {
    guard let noneSince,
      deadlines.now - noneSince > Int64(settings.python.importTimeoutSeconds) * Clock.second
    else { return nil }
    return
      "no process of the agent \(settings.agentName) runs\(lastDeath.map { "; the last: \($0.sentence)" } ?? "")"
  }

  var hasRoom: Bool {
    let most = settings.python.maxConcurrentRuns
    return places.reduce(-waitingCount) { $0 + most - min(most, $1.serving?.runs.count ?? 0) } > 0
  }

  func start(_ job: AgentJob) -> any EventSource {
    let run = PythonRun(job, self, affinity: PythonThread.affinity(of: job.input), now: deadlines.now)
    if fresh.isEmpty { freshTimer.set(microseconds: 0) }
    fresh.append(run)
    waiting.append(run)
    waitingCount += 1
    dispatch()
    return run
  }

  /// The board knows them by now: it hears that they have something, `started` at least.
  private func tellFresh() {
    let runs = fresh
    fresh.removeAll(keepingCapacity: true)
    for run in runs { onReady(run.job.ticket) }
  }

  /// A run that waits was cancelled.
  func forget(_ run: PythonRun) {
    run.endCancelled()
    waitingCount -= 1
    if waiting.count > 2 * waitingCount + 64 { waiting.removeAll(where: \.hasEnded) }
  }

  /// Gives waiting runs to workers, as far as there is room.
  func dispatch() {
    guard waitingCount > 0 else { return }
    var staying: [PythonRun] = []
    while let run = waiting.popFirst() {
      if run.hasEnded { continue }
      if let worker = worker(for: run) {
        waitingCount -= 1
        send(run, to: worker)
      } else {
        staying.append(run)
        // The others may wait for other workers, where each waits for one of its own.
        if run.affinity == nil { break }
      }
    }
    waiting.prepend(contentsOf: staying)
  }

  private func worker(for run: PythonRun) -> PythonWorker? {
    if let affinity = run.affinity {
      let worker = places[affinity % places.count].serving
      return worker?.hasRoom == true ? worker : nil
    }
    let now = deadlines.now
    func weight(_ worker: PythonWorker) -> Int {
      let isSilent = worker.silence(now: now) > Int64(Limits.pythonSilenceMilliseconds) * 1_000_000
      return worker.runs.count + (isSilent ? 1 << 32 : 0)
    }
    return places.lazy.compactMap(\.serving).filter(\.hasRoom).min { weight($0) < weight($1) }
  }

  private func send(_ run: PythonRun, to worker: PythonWorker) {
    defer {
      head.reuse()
      payload.reuse()
    }
    let identity = run.job.encoder.identity
    let isRun = identity.runID != nil
    head.append("{\"run_id\":")
    head.append(json: identity.id)
    head.append(",\"request_id\":")
    if isRun { head.append("null") } else { head.append(json: identity.id) }
    head.append(",\"mode\":\"")
    head.append(isRun ? "run" : run.job.hasEvents ? "stream" : "invoke")
    head.append("\"}")
    do { try payload.append(json: run.job.input, levels: Limits.valueLevelsMax) } catch {
      return run.fail(AgentError(code: "VALIDATION_ERROR", message: "body: \(error)"))
    }
    guard 4 + head.count + payload.count <= Limits.pythonFrameBytesMax else {
      return run.fail(
        AgentError(
          code: "VALIDATION_ERROR",
          message:
            "body: \(payload.count) bytes; a Python agent takes less than \(Limits.pythonFrameBytesMax)"))
    }
    worker.start(run, head.bytes, payload.bytes)
    let python = settings.python
    if python.maxRuns > 0, worker.runsTaken >= python.maxRuns { fork(worker.place) }
  }

  // MARK: Workers

  func workerIsUp(_ worker: PythonWorker) {
    if let ready = worker.ready { learn(ready) }
    let place = places[worker.place]
    let old = place.serving
    (place.serving, place.coming) = (worker, nil)
    if let old, old !== worker { old.leave() }
    noneSince = nil
    if isSettled, places.allSatisfy({ $0.serving != nil }) { isStarting = false }
    if isClosing { worker.leave() }
    dispatch()
  }

  func workerNeedsReplacement(_ worker: PythonWorker) {
    logger.warning(
      "a cancelled run does not end; its process takes no more runs and is replaced",
      metadata: ["process": "\(worker.pid ?? 0)"])
    fork(worker.place)
  }

  /// - Parameter lost: runs that have failed with it.
  func workerIsDead(_ worker: PythonWorker, _ death: PythonDeath, _ lost: [PythonRun]) {
    workers[worker.number] = nil
    let place = places[worker.place]
    if place.serving === worker { place.serving = nil }
    if place.coming === worker { place.coming = nil }
    for run in lost { onReady(run.job.ticket) }
    if let failure = worker.importFailure { failStart(failure.text) }
    guard !worker.life.isReplaced, !isClosing else { return }
    lastDeath = death
    logger.error(
      "a process of the agent has ended: \(death.sentence)",
      metadata: ["process": "\(death.pid ?? 0)", "runs": "\(lost.count)"])
    if let failure = worker.importFailure { logger.error("\(failure.text)") }
    if places.allSatisfy({ $0.serving == nil }), noneSince == nil { noneSince = deadlines.now }
    if isStarting, death.cause == .startTimeout { failStart("the agent's process: \(death.sentence)") }
    let settled = deadlines.now - worker.bornAt >= Limits.pythonSettledSeconds * Clock.second
    place.restart(afterCrashes: settled ? 0 : place.crashes)
  }

  /// Has a worker forked for a place that has none, or one that is to leave.
  func fork(_ index: Int) {
    let place = places[index]
    guard place.coming == nil, !isClosing, let zygote, zygote.isReady else { return }
    var open: [Int32] = []
    do throws(ServerError) {
      let socket = try Descriptors.pair(SOCK_STREAM)
      open += [socket.near, socket.far]
      let out = try Descriptors.pipe()
      open += [out.reading, out.writing]
      let errors = try Descriptors.pipe()
      lastNumber += 1
      let worker = PythonWorker(
        lastNumber, place: index, generation: generation, socket: socket.near,
        outputs: [out.reading, errors.reading], self, now: deadlines.now)
      workers[lastNumber] = worker
      place.coming = worker
      zygote.fork(lastNumber, [socket.far, out.writing, errors.writing])
    } catch {
      for descriptor in open { Glibc.close(descriptor) }
      logger.error("\(error)")
      place.restart(afterCrashes: max(1, place.crashes))
    }
  }

  /// Says once how many processes there are.
  private func learn(_ ready: PythonReady) {
    guard !isSettled, ready.kind != nil else { return }
    isSettled = true
    for warning in ready.warnings { logger.warning("\(warning)") }
    var count = settings.python.processes ?? cores
    if ready.hasMemoryCheckpointer, settings.python.processes == nil, count > 1 {
      count = 1
      logger.notice(
        "the graph keeps its threads in memory: one process runs it (runtime.python.processes)")
    } else if ready.hasMemoryCheckpointer, count > 1 {
      logger.warning("the graph keeps its threads in memory: they end with their process")
    }
    for index in places.count..<max(places.count, count) { places.append(PythonPlace(index, self)) }
    for index in places.indices where places[index].serving == nil { fork(index) }
  }

  // MARK: Each second

  private func secondPassed() {
    second.set(microseconds: 1_000_000)
    let now = deadlines.now
    let most = settings.python.maxMemoryBytes
    for worker in workers.values {
      worker.ping(now: now)
      guard most > 0, let pid = worker.pid, let bytes = ProcessFacts.residentBytes(of: pid), bytes > most
      else { continue }
      if bytes > most + most / 2 {
        worker.end(.memory)
      } else if worker.takesRuns {
        worker.isHeavy = true
        fork(worker.place)
      }
    }
    if let outage, waitingCount > 0 {
      let runs = waiting
      waiting.removeAll()
      waitingCount = 0
      for run in runs where !run.hasEnded {
        run.fail(AgentError(code: "WORKER_CRASHED", message: outage))
        onReady(run.job.ticket)
      }
    }
  }
}

extension PythonPool: PythonZygote.Owner {
  func zygote(_ zygote: PythonZygote, said packet: PythonPacket) {
    switch packet {
    case .ready(let ready):
      zygoteTimer.clear()
      zygoteCrashes = 0
      zygote.isReady = true
      if !ready.isPreloaded, !ready.left.isEmpty {
        logger.notice(
          "each process imports the agent by itself, since the import leaves \(ready.left.joined(separator: ", "))"
        )
      }
      learn(ready)
      for index in places.indices where places[index].serving?.generation != generation { fork(index) }
    case .fatal(let failure):
      failStart(failure.text)
      logger.error("\(failure.text)")
    case .forked(let number, let pid): workers[number]?.forked(pid)
    case .notForked(_, let error): logger.error("a process cannot be forked: \(error)")
    case .exited(let number, let status): workers[number]?.exited(status)
    }
  }

  func zygoteHasEnded(_ zygote: PythonZygote, _ reason: String) {
    self.zygote = nil
    zygoteTimer.clear()
    guard !isClosing else { return }
    let lines = zygote.lastLines
    failStart(
      (["the Python process \(settings.interpreter) cannot run the agent: \(reason)"]
        + lines.map { "  " + $0 })
        .joined(separator: "\n"))
    guard startProblem == nil else { return }
    logger.error(
      "the process that forks the agent's processes: \(reason); another one takes its place",
      metadata: ["process": "\(zygote.pid)"])
    zygoteTimer.set(microseconds: PythonPlace.delay(afterCrashes: zygoteCrashes) * 1000)
    zygoteCrashes += 1
  }

  func zygote(_ zygote: PythonZygote, wrote line: String, isError: Bool) {
    logger.log(
      level: isError ? .warning : .notice, "\(line)", metadata: ["process": "\(zygote.pid)"])
  }

  private func zygoteTimePassed() {
    if let zygote {
      zygote.end()
      return zygoteHasEnded(
        zygote, "the agent was not imported in \(settings.python.importTimeoutSeconds) s")
    }
    do throws(ServerError) { try startZygote() } catch {
      logger.error("\(error)")
      zygoteTimer.set(microseconds: PythonPlace.delay(afterCrashes: zygoteCrashes) * 1000)
      zygoteCrashes += 1
    }
  }
}
