import DockrionCore

/// Pattern B: one managed run, its log and its subscribers.
final class Run: EventSink, DeadlineTarget {
  private enum Tag {
    static let timeLimit: UInt8 = 0
    static let retention: UInt8 = 1
  }

  let id: String
  /// Grows with every run of the store; the cursor of the list.
  let ordinal: Int
  let createdAt: Int64
  let log: RunLog
  /// The key that made this run.
  var idempotencyKey: RunStore.IdempotencyKey?
  private unowned let server: Server
  private unowned let store: RunStore
  private let encoder: EventEncoder
  private var machine = RunStateMachine()
  private var startedAt: Int64?
  private var completedAt: Int64?
  private var output: [UInt8]?
  private var error: AgentError?
  private var subscribers: [Subscriber] = []
  private var invocation: Invocation?
  private var deadline: DeadlineQueues.Token?
  private var countedBytes = 0
  private var isRemoved = false
  private var latencySeconds: Double?

  init(id: String, ordinal: Int, _ server: Server, _ store: RunStore) {
    self.id = id
    self.ordinal = ordinal
    self.server = server
    self.store = store
    encoder = EventEncoder(identity: .run(id))
    createdAt = Clock.wallNanoseconds()
    log = RunLog(eventsMax: server.dockfile.streaming.maxEventsPerRun)
  }

  var status: RunStatus { machine.status }
  var subscriberCount: Int { subscribers.count }

  func start(_ invocation: Invocation) {
    self.invocation = invocation
    deadline = server.setDeadline(seconds: server.dockfile.streaming.maxRunSeconds, self, tag: Tag.timeLimit)
    account()
  }

  // MARK: Events

  var wantsEvents: Bool { true }

  func receive(_ record: EventRecord) {
    switch record.ending {
    case nil:
      guard machine.event() == .append else { return }
      if startedAt == nil { startedAt = Clock.wallNanoseconds() }
      log.append(record)
    case .completed(let output, let seconds):
      guard machine.agentEnded(.completed) == .finish else { return }
      self.output = output
      latencySeconds = seconds
      finish(record)
    case .failed(let error):
      guard machine.agentEnded(.failed) == .finish else { return }
      self.error = error
      finish(record)
    case .cancelled:
      guard machine.cancel() == .finish else { return }
      finish(encoder.cancelledRecord(reason: nil))
    }
  }

  func flush() {
    account()
    var index = 0
    // A subscriber that ends takes itself out, and the next one takes its place.
    while index < subscribers.count {
      let subscriber = subscribers[index]
      subscriber.pump()
      if index < subscribers.count, subscribers[index] === subscriber { index += 1 }
    }
  }

  /// Cancels the run; false when it had ended already.
  func cancelByClient(reason: String?) -> Bool {
    drainFirst()
    guard machine.cancel() == .finish else { return false }
    finish(encoder.cancelledRecord(reason: reason))
    flush()
    return true
  }

  func cancel(reason: String) { _ = cancelByClient(reason: reason) }

  func deadlinePassed(_ tag: UInt8) {
    deadline = nil
    if tag == Tag.retention { return store.remove(self) }
    drainFirst()
    guard machine.timeLimitReached() == .finish else { return }
    let seconds = server.dockfile.streaming.maxRunSeconds
    let failure = AgentError(code: "RUN_TIMEOUT", message: "the run took longer than \(seconds) seconds")
    error = failure
    finish(encoder.failureRecord(failure, ended: false))
    flush()
  }

  private func drainFirst() {
    if let invocation { server.drain(invocation.execution, all: true) }
  }

  private func finish(_ record: EventRecord) {
    if log.lastSequence == 0 { log.append(server.startedRecord(encoder)) }
    completedAt = Clock.wallNanoseconds()
    log.append(record)
    if record.ending == nil { server.metrics.event(record.kind) }
    log.shrink()
    server.metrics.run(status)
    server.clearDeadline(deadline)
    deadline = server.setDeadline(
      seconds: server.dockfile.streaming.retentionSeconds, self, tag: Tag.retention)
    if let invocation { server.letGo(invocation) }
    invocation = nil
    account()
    store.finished(self)
  }

  /// Keeps the store's sum of bytes true, and the run within it.
  private func account() {
    guard !isRemoved else { return }
    let bytes = log.byteCount + (output?.count ?? 0) + Limits.runOverheadBytes
    store.bytes += bytes - countedBytes
    countedBytes = bytes
    store.makeRoom(for: self)
  }

  /// Drops the oldest event, for a run that goes on while the store is full. False when only one is left.
  func dropOldestEvent() -> Bool {
    guard log.firstSequence < log.lastSequence else { return false }
    log.dropOldest()
    guard !isRemoved else { return true }
    let bytes = log.byteCount + (output?.count ?? 0) + Limits.runOverheadBytes
    store.bytes += bytes - countedBytes
    countedBytes = bytes
    return true
  }

  /// Lets go of everything but the terminal event, which subscribers that are behind get after a `gap`.
  func shed() {
    output = nil
    while dropOldestEvent() {}
    flush()
  }

  /// The store has forgotten this run.
  func removed() {
    server.clearDeadline(deadline)
    deadline = nil
    store.bytes -= countedBytes
    countedBytes = 0
    isRemoved = true
  }

  // MARK: Subscribers

  func add(_ subscriber: Subscriber) { subscribers.append(subscriber) }

  func remove(_ subscriber: Subscriber) {
    if let index = subscribers.firstIndex(where: { $0 === subscriber }) { subscribers.remove(at: index) }
  }

  // MARK: The record

  /// Writes the run as `GET /runs/{run_id}` shows it.
  func write(to out: inout ByteWriter) {
    out.append("{\"run_id\":\"")
    out.append(id)
    out.append("\",\"status\":\"")
    out.append(status.rawValue)
    out.append("\",\"created_at\":")
    Self.write(moment: createdAt, to: &out)
    out.append(",\"started_at\":")
    Self.write(moment: startedAt, to: &out)
    out.append(",\"completed_at\":")
    Self.write(moment: completedAt, to: &out)
    out.append(",\"output\":")
    if let output { out.append(output) } else { out.append("null") }
    out.append(",\"error\":")
    writeError(to: &out)
    out.append(",\"metadata\":{\"agent\":")
    out.append(json: server.dockfile.agent.name)
    out.append(",\"framework\":")
    out.append(json: server.dockfile.agent.framework)
    if let latencySeconds {
      out.append(",\"latency_seconds\":")
      out.append(latencySeconds.description)
    }
    out.append("},\"last_sequence\":")
    out.append(decimal: log.lastSequence)
    out.append("}")
  }

  private func writeError(to out: inout ByteWriter) {
    guard let error else { return out.append("null") }
    out.append("{\"message\":")
    out.append(json: error.message)
    out.append(",\"code\":")
    out.append(json: error.code)
    out.append(",\"details\":")
    let start = out.count
    do {
      if let details = error.details { try out.append(json: details) } else { out.append("null") }
    } catch {
      out.truncate(to: start)
      out.append("null")
    }
    out.append("}")
  }

  static func write(moment: Int64?, to out: inout ByteWriter) {
    guard let moment else { return out.append("null") }
    out.append("\"")
    out.append(timestamp: moment)
    out.append("\"")
  }
}
