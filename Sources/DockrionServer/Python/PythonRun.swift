import DequeModule
import DockrionCore
import DockrionLoop

/// A Python agent that executes, or waits for a process to execute in.
final class PythonRun: EventSource, DeadlineTarget {
  enum Phase { case waiting, sent, cancelling, ended }

  let job: AgentJob
  private(set) var phase = Phase.waiting
  /// Its number in its worker.
  private(set) var number: UInt32 = 0
  private(set) weak var worker: PythonWorker?
  /// The worker that runs of its thread go to, as a hash; nil where any will do.
  let affinity: Int?
  /// True once the board has to be told of something.
  var isTouched = false
  private unowned let pool: PythonPool
  private let startedAt: Int64
  private var events = Deque<EventRecord>()
  // Counted modulo 2³²: those that have come, those that were passed on, and what the worker has been told of these.
  private var received: UInt32 = 0
  private var taken: UInt32 = 0
  private var acknowledged: UInt32 = 0
  private var grace: DeadlineQueues.Token?

  init(_ job: AgentJob, _ pool: PythonPool, affinity: Int?, now: Int64) {
    self.job = job
    self.pool = pool
    self.affinity = affinity
    startedAt = now
    if job.hasEvents { events.append(job.agent.startedRecord(job.encoder)) }
  }

  var hasEnded: Bool { phase == .ended }
  var isCancelled: Bool { phase == .cancelling }

  // MARK: The board's side

  func next() -> EventRecord? {
    guard let record = events.popFirst() else { return nil }
    if record.ending == nil, record.kind != .started { taken &+= 1 }
    return record
  }

  func drained() {
    guard phase == .sent, taken &- acknowledged >= UInt32(pool.settings.window / 4) else { return }
    acknowledged = taken
    worker?.acknowledge(self, taken)
  }

  func cancel() {
    switch phase {
    case .waiting: pool.forget(self)
    case .sent:
      phase = .cancelling
      // What it waits for room for may come, and is dropped.
      worker?.cancel(self)
      grace = pool.deadlines.set(seconds: pool.settings.python.cancelGraceSeconds, self)
    case .cancelling, .ended: break
    }
  }

  func close() {}

  func deadlinePassed(_ tag: UInt8) {
    grace = nil
    worker?.overdue(self)
  }

  // MARK: The worker's side

  func sent(to worker: PythonWorker, as number: UInt32) {
    (self.worker, self.number, phase) = (worker, number, .sent)
  }

  /// Takes an event.
  func receive(_ frame: PythonFrame, _ payload: UnsafeRawBufferPointer) throws {
    guard job.hasEvents else { throw PythonFrameError("an event of a run that has none") }
    received &+= 1
    guard received &- acknowledged <= UInt32(pool.settings.window) || isCancelled else {
      throw PythonFrameError("more events than its window of \(pool.settings.window) has room for")
    }
    let record = try PythonEvent.record(frame, payload, job.encoder)
    // Nobody wants what comes behind a cancel.
    if !isCancelled { events.append(record) }
  }

  /// Its output has come.
  func complete(_ output: UnsafeRawBufferPointer, now: Int64) throws {
    guard output.count >= 2, output[0] == UInt8(ascii: "{"), output[output.count - 1] == UInt8(ascii: "}")
    else { throw PythonFrameError("an output that is no JSON object") }
    let text = try PythonText(output)
    var clean = ByteWriter(capacity: output.count + 8)
    text.write(output, to: &clean)
    let seconds = Double((now - startedAt) / 1000) / 1_000_000
    let ending = AgentEnding.completed(output: clean.array(), latencySeconds: seconds)
    guard job.hasEvents else { return end(EventRecord(silent: .complete, ending)) }
    end(
      try job.encoder.completedRecord(
        clean.bytes, ending, seconds, agentName: job.agent.name, framework: job.agent.framework))
  }

  func fail(_ error: AgentError) {
    end(job.hasEvents ? job.encoder.failureRecord(error) : EventRecord(silent: .error, .failed(error)))
  }

  /// It has ended because it was cancelled.
  func endCancelled() { end(EventRecord(silent: .cancelled, .cancelled)) }

  private func end(_ record: EventRecord) {
    guard phase != .ended else { return }
    let wasCancelled = isCancelled
    phase = .ended
    pool.deadlines.clear(grace)
    grace = nil
    worker = nil
    events.append(wasCancelled ? EventRecord(silent: .cancelled, .cancelled) : record)
  }
}
