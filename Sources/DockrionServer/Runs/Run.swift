import DockrionCore
import DockrionLoop
import Glibc

/// Who keeps the runs whose agents execute here.
protocol RunKeeper: AnyObject {
  /// Bytes that all its runs together count for.
  var bytes: Int { get set }
  /// How long a run stays in this process after its end, in seconds.
  var keepSeconds: Int { get }
  /// Lets the oldest finished runs go, then the oldest events of the run that grows, then those of others, until all
  /// fit. False when they do not, since nothing is left that could be given up.
  ///
  /// - Parameter more: bytes that the run is about to grow by.
  func makeRoom(for growing: Run, _ more: Int) -> Bool
  /// A run has reached its final status: from now on it may have to make room.
  func finished(_ run: Run)
  /// Forgets a run that has ended.
  func remove(_ run: Run)
}

/// Pattern B: one managed run whose agent executes here.
final class Run: EventSink, DeadlineTarget {
  private enum Tag {
    static let timeLimit: UInt8 = 0
    static let retention: UInt8 = 1
  }

  let feed: RunFeed
  let encoder: EventEncoder
  let createdAt: Int64
  /// Grows with every run of the memory backend; the cursor of its list.
  var ordinal = 0
  /// The key that made this run.
  var idempotencyKey: IdempotencyKey?
  /// Writes the run to Redis; nil where memory is all there is.
  var journal: (any EventJournal)?
  /// Which of the backend's connections carries what is written of the run, where it has several.
  var lane: Int?
  private(set) var startedAt: Int64?
  private(set) var cancelledBy: String?
  let agent: ServedAgent
  private let context: RunContext
  // Its own, since every event asks for them.
  private let metrics: Metrics
  private let agentIndex: Int
  private unowned let keeper: any RunKeeper
  private var machine = RunStateMachine()
  private var completedAt: Int64?
  // The output stands in the terminal event; it is not kept twice.
  private var outputBytes: Int?
  private var error: AgentError?
  private var latencySeconds: Double?
  private var invocation: Invocation?
  private var deadline: DeadlineQueues.Token?
  private var countedBytes = 0
  private var isRemoved = false
  private var whenFinal: [() -> Void] = []

  init(id: String, _ agent: ServedAgent, _ context: RunContext, _ keeper: any RunKeeper) {
    self.agent = agent
    self.context = context
    metrics = context.metrics
    agentIndex = agent.index
    self.keeper = keeper
    encoder = EventEncoder(identity: .run(id))
    createdAt = Clock.wallNanoseconds()
    feed = RunFeed(id: id, eventsMax: context.bounds.eventsMax)
  }

  var id: String { feed.id }
  var log: RunLog { feed.log }

  /// Where the run stands for others: an end that has still to be stored is not one yet.
  var status: RunStatus { machine.status.isFinal && !feed.isFinal ? .running : machine.status }
  /// True once the run has its terminal event, stored or not.
  var hasEnded: Bool { machine.status.isFinal }
  /// The final status, stored or not.
  var endStatus: RunStatus? { hasEnded ? machine.status : nil }

  /// - Parameter limit: the time limit, which runs since the request was accepted.
  func start(_ invocation: Invocation, _ limit: DeadlineQueues.Token) {
    self.invocation = invocation
    deadline = context.deadlines.hand(limit, to: self, tag: Tag.timeLimit)
    // Room for it was made when it was admitted.
    if !isRemoved { count() }
  }

  // MARK: Events

  var wantsEvents: Bool { true }

  func receive(_ record: EventRecord) {
    guard hasRoom(for: record) else { return }
    switch record.ending {
    case nil:
      guard machine.event() == .append else { return }
      if startedAt == nil { startedAt = Clock.wallNanoseconds() }
      add(record)
    case .completed(let output, let seconds):
      guard machine.agentEnded(.completed) == .finish else { return }
      outputBytes = output.count
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
    feed.flush()
    journal?.pump()
  }

  /// Cancels the run; false when it had ended already.
  ///
  /// - Parameter token: names the wish, where it came from another instance.
  func cancelByClient(reason: String?, token: String? = nil) -> Bool {
    drainFirst()
    guard machine.cancel() == .finish else { return false }
    cancelledBy = token
    finish(encoder.cancelledRecord(reason: reason))
    flush()
    return true
  }

  func cancel(reason: String) { _ = cancelByClient(reason: reason) }

  /// Ends the run with a failure of the server's own; false when it had ended already.
  func fail(_ failure: AgentError) -> Bool {
    drainFirst()
    return end(failure)
  }

  private func end(_ failure: AgentError) -> Bool {
    guard machine.agentEnded(.failed) == .finish else { return false }
    error = failure
    context.board.failures.ended(encoder.identity, of: agent, failure)
    finish(encoder.failureRecord(failure, ended: false))
    flush()
    return true
  }

  func deadlinePassed(_ tag: UInt8) {
    deadline = nil
    if tag == Tag.retention { return keeper.remove(self) }
    _ = fail(context.board.timeLimitFailure)
  }

  private func drainFirst() {
    if let invocation { context.board.drain(invocation, all: true) }
  }

  private func finish(_ record: EventRecord) {
    if log.lastSequence == 0 { add(agent.startedRecord(encoder)) }
    completedAt = Clock.wallNanoseconds()
    // Elsewhere somebody else may have ended the run: the end is shown once Redis has taken it.
    feed.withholdsLast = journal != nil
    add(record)
    log.shrink()
    letGo()
    if journal == nil { becomeFinal() }
  }

  /// Stores an event under its sequence, and counts it: here and nowhere else.
  private func add(_ record: EventRecord) {
    log.append(record)
    metrics.event(record.kind, agent: agentIndex)
  }

  private func letGo() {
    context.deadlines.clear(deadline)
    deadline = nil
    if let invocation { context.board.letGo(invocation) }
    invocation = nil
  }

  /// The end is stored, and may be shown.
  func becomeFinal() {
    guard !feed.isFinal else { return }
    feed.finish()
    context.metrics.run(status, agent: agent.index)
    keepOn()
    account()
    keeper.finished(self)
    feed.flush()
    let waiting = whenFinal
    whenFinal = []
    for body in waiting { body() }
  }

  /// Starts the time that the run is kept anew.
  func keepOn() {
    deadline = context.deadlines.set(seconds: keeper.keepSeconds, self, tag: Tag.retention)
  }

  /// Calls `body` once the run's end is shown, or the run belongs to somebody else.
  func whenFinal(_ body: @escaping () -> Void) {
    if feed.isFinal || isRemoved { body() } else { whenFinal.append(body) }
  }

  /// Somebody else has ended the run: the agent is stopped, and the events are not ours any more.
  func disown() {
    if !machine.status.isFinal { _ = machine.cancel() }
    letGo()
    removed()
    journal = nil
    let waiting = whenFinal
    whenFinal = []
    for body in waiting { body() }
  }

  // MARK: Room

  /// Keeps the keeper's sum of bytes true, and the run within it.
  private func account() {
    guard !isRemoved else { return }
    count()
    if !keeper.makeRoom(for: self, 0) { outgrow() }
  }

  /// Looks for the room of an event that is large, or the last of many since they were counted; false when the run
  /// was ended for want of it.
  @inline(__always)
  private func hasRoom(for record: EventRecord) -> Bool {
    let growth = log.byteCount + Limits.runOverheadBytes + record.count - countedBytes
    return growth <= Limits.uncountedBytesMax || makeRoom(for: record)
  }

  private func makeRoom(for record: EventRecord) -> Bool {
    guard !hasEnded, !isRemoved else { return true }
    count()
    if !keeper.makeRoom(for: self, record.count) { outgrow() }
    return !hasEnded
  }

  /// Ends the run, which grows while nothing can be given up any more: it is the one that needs what is not there, and
  /// ending another would free nothing that Redis has still to get. What its agent has sent meanwhile has no place.
  private func outgrow() {
    guard !hasEnded else { return }
    let most = context.bounds.logBytesMax
    let failure = AgentError(
      code: "BACKEND_UNAVAILABLE",
      message:
        "the run's events could not be kept: those of all runs take \(keeper.bytes) of \(most) bytes, as many "
        + "as may (streaming.memory.max_bytes), and none can be given up")
    guard end(failure) else { return }
    journal?.showEnd()
  }

  /// What the run counts for.
  var heldBytes: Int { countedBytes }

  private func count() {
    let bytes = log.byteCount + Limits.runOverheadBytes
    keeper.bytes += bytes - countedBytes
    countedBytes = bytes
  }

  /// Drops the oldest event, for a run that goes on while all the room is taken. False when only one is left, or
  /// Redis has still to get it.
  func dropOldestEvent() -> Bool {
    guard log.firstSequence < log.lastSequence, journal?.holds(log.firstSequence) != true else {
      return false
    }
    log.dropOldest()
    if !isRemoved { count() }
    return true
  }

  /// Drops the older half of the events that may go; false when there are none.
  func dropOlderHalf() -> Bool {
    let middle = (log.firstSequence + log.lastSequence + 1) / 2
    var hasDropped = false
    while log.firstSequence < middle, dropOldestEvent() { hasDropped = true }
    return hasDropped
  }

  /// Lets go of everything but the terminal event, which subscribers that are behind get after a `gap`.
  func shed() {
    while dropOldestEvent() {}
    feed.flush()
  }

  /// The keeper has forgotten this run.
  func removed() {
    context.deadlines.clear(deadline)
    deadline = nil
    keeper.bytes -= countedBytes
    countedBytes = 0
    journal?.close()
    isRemoved = true
  }

  // MARK: The record

  var record: RunRecord { record(shown: status.isFinal, status, feed.lastSequence) }

  /// The record as it will be once its end is stored.
  var finalRecord: RunRecord { record(shown: true, machine.status, log.lastSequence) }

  private func record(shown: Bool, _ status: RunStatus, _ last: Int) -> RunRecord {
    RunRecord(
      id: id, status: status, createdAt: createdAt, startedAt: startedAt,
      completedAt: shown ? completedAt : nil, output: shown ? output : nil,
      error: shown ? error.map(RunRecord.json) : nil, agentName: agent.name,
      framework: agent.framework, latencySeconds: shown ? latencySeconds : nil,
      lastSequence: last)
  }

  private var output: [UInt8]? {
    guard let outputBytes, log.lastSequence >= log.firstSequence else { return nil }
    let event = log.read(from: log.lastSequence, bytesMax: 0).bytes
    // What stands before this member has no text of the agent's.
    let name: StaticString = #","output":"#
    let length = name.utf8CodeUnitCount
    guard let base = event.baseAddress else { return nil }
    var at = 0
    while let found = memchr(base + at, 0x2C, event.count - at) {
      at = UnsafeRawPointer(found) - base
      if event.count - at >= length + outputBytes, memcmp(found, name.utf8Start, length) == 0 {
        return Array(event[(at + length)..<(at + length + outputBytes)])
      }
      at += 1
    }
    return nil
  }
}
