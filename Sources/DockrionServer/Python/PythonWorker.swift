import DockrionCore
import DockrionLoop
import Glibc

/// One process that runs agents: its socket, its runs, and where it stands.
final class PythonWorker {
  let number: Int
  /// Whose place it has, among those of the pool.
  let place: Int
  let bornAt: Int64
  private(set) var pid: Int32?
  private(set) var life = PythonWorkerLife()
  private(set) var runs: [UInt32: PythonRun] = [:]
  /// Runs that it has got since its start.
  private(set) var runsTaken = 0
  /// What READY has said.
  private(set) var ready: PythonReady?
  private(set) var importFailure: PythonImportFailure?
  private unowned let pool: PythonPool
  private var descriptor: Int32
  private var reading: LoopWatch?
  private var writing: LoopWatch?
  private var outputs: [OutputLines] = []
  private var timer: LoopTimer?
  private var reader = PythonFrameReader()
  private var unsent = ByteWriter()
  private var sentBytes = 0
  // Runs that the board is to be told of when what has come is read.
  private var touched: [PythonRun] = []
  private var log: PythonLog
  private var pingedAt: Int64?
  /// It takes more memory than it should, and gets no more runs.
  var isHeavy = false
  /// Which of the pool's zygotes has forked it.
  let generation: Int

  /// - Parameter socket: the near ends belong to this from now on.
  init(
    _ number: Int, place: Int, generation: Int, socket: Int32, outputs descriptors: [Int32],
    _ pool: PythonPool, now: Int64
  ) {
    self.generation = generation
    (self.number, self.place, self.pool, self.bornAt) = (number, place, pool, now)
    descriptor = socket
    log = PythonLog(pool.logger)
    timer = LoopTimer(pool.loop) { [unowned self] in timePassed() }
    reading = LoopWatch(pool.loop, socket, .read) { [unowned self] _ in read() }
    writing = LoopWatch(pool.loop, socket, .write) { [unowned self] _ in flush() }
    outputs = descriptors.enumerated().map { place, descriptor in
      OutputLines(pool.loop, descriptor) { [unowned self] line in
        log.write(line, level: place == 0 ? .notice : .warning, pid: pid, now: pool.deadlines.now)
      }
    }
    reading?.start()
    timer?.set(microseconds: pool.settings.python.importTimeoutSeconds * 1_000_000)
    send { out in pool.settings.hello.withUnsafeBytes { PythonMessage.hello($0, to: &out) } }
  }

  deinit { close() }

  var takesRuns: Bool { life.takesRuns }
  /// Whether one more run finds room.
  var hasRoom: Bool {
    takesRuns && !isHeavy && runs.count < pool.settings.python.maxConcurrentRuns
      && unsent.count - sentBytes <= Limits.pythonUnsentBytesMax
  }
  /// For so long it has not answered.
  func silence(now: Int64) -> Int64 { pingedAt.map { now - $0 } ?? 0 }

  // MARK: To the worker

  func start(_ run: PythonRun, _ head: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) {
    runsTaken += 1
    let number = UInt32(truncatingIfNeeded: runsTaken)
    runs[number] = run
    run.sent(to: self, as: number)
    send { PythonMessage.start(run: number, head, payload, to: &$0) }
  }

  func acknowledge(_ run: PythonRun, _ count: UInt32) {
    send { PythonMessage.acknowledge(run: run.number, count, to: &$0) }
  }

  func cancel(_ run: PythonRun) { send { PythonMessage.cancel(run: run.number, to: &$0) } }

  func ping(now: Int64) {
    guard pingedAt == nil, descriptor >= 0, ready != nil else { return }
    pingedAt = now
    send { PythonMessage.ping(UInt64(runsTaken), to: &$0) }
  }

  private func send(_ write: (inout ByteWriter) -> Void) {
    guard descriptor >= 0 else { return }
    let wasEmpty = unsent.count == 0
    write(&unsent)
    if wasEmpty { flush() }
  }

  private func flush() {
    while descriptor >= 0, sentBytes < unsent.count {
      let rest = UnsafeRawBufferPointer(rebasing: unsent.bytes[sentBytes...])
      let flags = Int32(MSG_DONTWAIT | MSG_NOSIGNAL)
      let count = Glibc.send(descriptor, rest.baseAddress, rest.count, flags)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else {
        if errno == EAGAIN { return writing?.start() ?? () }
        // The end of the socket tells the rest, behind what is still to be read.
        break
      }
      sentBytes += count
    }
    unsent.reuse()
    sentBytes = 0
    writing?.stop()
  }

  // MARK: From the worker

  private func read() {
    let buffer = pool.buffer
    let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else {
      closeSocket()
      return happened(.endOfFile)
    }
    do {
      try reader.feed(UnsafeRawBufferPointer(rebasing: buffer[..<count])) { try take($0, $1) }
      tellTouched()
    } catch {
      tellTouched()
      closeSocket()
      happened(.badFrame("\(error)"))
    }
  }

  private func take(_ frame: PythonFrame, _ payload: UnsafeRawBufferPointer) throws {
    switch frame.kind {
    case .event:
      let run = try run(frame)
      try run.receive(frame, payload)
      touch(run)
    case .done:
      let run = try run(frame)
      try run.complete(payload, now: pool.deadlines.now)
      ended(run)
    case .fail:
      let run = try run(frame)
      let object = try Self.object(payload, "FAIL")
      guard let code = object["code"]?.string, let text = object["error"]?.string else {
        throw PythonFrameError("a FAIL without error or code")
      }
      run.fail(AgentError(code: code, message: text, details: object["details"]?.object))
      ended(run)
    case .cancelled:
      let run = try run(frame)
      guard run.isCancelled else { throw PythonFrameError("CANCELLED of a run that was not cancelled") }
      run.endCancelled()
      ended(run)
    case .log:
      let run = runs[frame.run]
      log.write(
        String(decoding: payload[frame.large...], as: UTF8.self), level: PythonLog.level(frame.small),
        name: String(decoding: payload[..<frame.large], as: UTF8.self), pid: pid,
        run: run?.job.encoder.identity, now: pool.deadlines.now)
    case .ready:
      ready = PythonReady(try Self.object(payload, "READY"))
      happened(.ready)
    case .pong: pingedAt = nil
    case .fatal:
      importFailure = PythonImportFailure(try Self.object(payload, "FATAL"))
      happened(.failedImport)
    }
  }

  private func run(_ frame: PythonFrame) throws(PythonFrameError) -> PythonRun {
    guard let run = runs[frame.run] else {
      throw PythonFrameError("a frame of run \(frame.run), which it does not execute")
    }
    return run
  }

  private static func object(_ payload: UnsafeRawBufferPointer, _ name: String) throws -> JSONObject {
    do { return try JSONObject(parsing: payload) } catch {
      throw PythonFrameError("a \(name) that is no JSON object: \(error)")
    }
  }

  private func ended(_ run: PythonRun) {
    runs[run.number] = nil
    touch(run)
    happened(.ended(run: run.number, left: runs.count))
  }

  private func touch(_ run: PythonRun) {
    guard !run.isTouched else { return }
    run.isTouched = true
    touched.append(run)
  }

  private func tellTouched() {
    guard !touched.isEmpty else { return }
    let runs = touched
    touched.removeAll(keepingCapacity: true)
    for run in runs {
      run.isTouched = false
      pool.onReady(run.job.ticket)
    }
    pool.dispatch()
  }

  // MARK: Its life

  func forked(_ pid: Int32) { self.pid = pid }
  func exited(_ status: Int32) { happened(.exited(status: status)) }
  func leave() { happened(.leave) }
  func overdue(_ run: PythonRun) { happened(.overdue(run: run.number)) }
  func end(_ cause: PythonWorkerLife.Cause) { happened(.kill(cause)) }

  private func timePassed() {
    happened(life.state == .starting ? .startTimeout : .waitedLongEnough)
  }

  private func happened(_ happening: PythonWorkerLife.Happening) {
    for action in life.handle(happening) {
      switch action {
      case .announce:
        timer?.clear()
        pool.workerIsUp(self)
      case .replace: pool.workerNeedsReplacement(self)
      case .drain: send { PythonMessage.drain(to: &$0) }
      case .kill:
        // It has its pid as long as its socket is open or the zygote has not told of its end.
        if let pid, life.status == nil { kill(pid, SIGKILL) }
      case .await: timer?.set(microseconds: Limits.pythonStatusMilliseconds * 1000)
      case .bury: bury()
      }
    }
  }

  private func bury() {
    guard case .dead(let cause) = life.state else { return }
    close()
    let death = PythonDeath(pid: pid, cause: cause, status: life.status)
    let lost = runs.values.sorted { $0.number < $1.number }
    runs.removeAll()
    for run in lost { run.fail(death.error) }
    pool.workerIsDead(self, death, lost)
  }

  private func closeSocket() {
    guard descriptor >= 0 else { return }
    reading = nil
    writing = nil
    Glibc.close(descriptor)
    descriptor = -1
  }

  private func close() {
    closeSocket()
    timer = nil
    for output in outputs { output.close() }
    outputs.removeAll()
  }
}
