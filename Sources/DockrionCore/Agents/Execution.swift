import Dispatch
import Synchronization

/// One agent at work, and its way to the loop: the worker's side of a run or request.
///
/// The loop makes it, starts it, drains it and may cancel it; everything else here runs on workers.
/// `@unchecked Sendable`, as every `LoopItem`: all that stands here is constant, atomic, or the loop's alone.
public final class Execution: LoopItem, @unchecked Sendable {
  private enum Phase: UInt8, AtomicRepresentable { case running, cancelled, ended }

  enum Waiter: Sendable {
    case task(UnsafeContinuation<Void, Never>)
    case thread(DispatchSemaphore)
  }

  /// What the agent's events pass through and where its end goes.
  public struct Outlet: Sendable {
    public let filter: EventsFilter
    /// Pattern A and B announce the agent with `started` and end with an event; `/invoke` has no events at all.
    public let hasEvents: Bool
    /// What a stream would let through, and therefore check.
    fileprivate let streamFilter: EventsFilter

    public init(filter: EventsFilter, hasEvents: Bool) {
      self.filter = hasEvents ? filter : .minimal
      self.hasEvents = hasEvents
      streamFilter = filter
    }
  }

  /// Who is running, for `started`, `complete` and replies.
  public struct Description: Sendable {
    public let agentName: String
    public let framework: String

    public init(agentName: String, framework: String) {
      self.agentName = agentName
      self.framework = framework
    }
  }

  /// What every execution behind one kind of route shares.
  public final class Environment: Sendable {
    let description: Description
    let outlet: Outlet
    let ringCapacity: Int
    let inbox: Inbox
    let onReady: LoopHandler<Execution>
    let workers: Workers
    let counters: WorkerCounters
    let exposesErrors: Bool

    /// - Parameters:
    ///   - ringCapacity: events of one agent that may wait for the loop; see `EventRing`.
    ///   - exposesErrors: whether clients get the text of errors that are no `AgentError`.
    public init(
      _ description: Description, _ outlet: Outlet, ringCapacity: Int, inbox: Inbox,
      onReady: LoopHandler<Execution> = LoopHandler { _ in }, workers: Workers, counters: WorkerCounters,
      exposesErrors: Bool = true
    ) {
      self.description = description
      self.outlet = outlet
      self.ringCapacity = ringCapacity
      self.inbox = inbox
      self.onReady = onReady
      self.workers = workers
      self.counters = counters
      self.exposesErrors = exposesErrors
    }
  }

  /// The loop's number for this execution; the loop alone looks at it.
  public let slot: Int
  public let encoder: EventEncoder
  private let environment: Environment
  private let inbox: Inbox
  private let ring: EventRing<EventRecord>
  private let phase = Atomic<Phase>(.running)
  let hasWaiters = Atomic<Bool>(false)
  // The loop alone looks at it.
  private var task: Task<Void, Never>?
  // Made for the first emit that finds the ring full; few executions have one.
  private let waiters = AtomicLazyReference<Locked<[Waiter]>>()

  public init(slot: Int, encoder: EventEncoder, _ environment: Environment) {
    self.slot = slot
    self.encoder = encoder
    self.environment = environment
    inbox = environment.inbox
    ring = EventRing(capacity: environment.ringCapacity)
  }

  override public func onLoop() { environment.onReady(self) }

  // MARK: The loop's side

  /// Starts the agent on a worker.
  public func start(_ agent: any Agent, input: JSONObject) {
    task = Task(executorPreference: workers.cooperative) { await self.run(agent, input) }
  }

  /// Takes the next event; nil when there is none now. After a series of calls, call `drained`.
  public func next() -> EventRecord? { ring.pop() }

  /// Lets emitters go on that waited for room.
  public func drained() {
    // Orders the ring's head before the flag, as `wait…` orders the flag before its second push.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    if hasWaiters.load(ordering: .relaxed) { releaseWaiters() }
  }

  /// Puts this in line to be drained again, when a drain stopped with events left.
  public func markReady() { inbox.mark(self) }

  /// Makes emits throw, and cancels the agent's task. Its end still comes, as the last record.
  public func cancel() {
    let (changed, _) = phase.compareExchange(
      expected: .running, desired: .cancelled, ordering: .sequentiallyConsistent)
    guard changed else { return }
    releaseWaiters()
    // Handlers of the agent's run where its task is cancelled.
    if let task { workers.cancelling.async { task.cancel() } }
  }

  /// Says that the last record was taken: emitters that are left have nobody to talk to.
  public func close() {
    phase.store(.ended, ordering: .sequentiallyConsistent)
    releaseWaiters()
  }

  // MARK: The worker's side

  /// False behind `/invoke`, which has none.
  package var hasEvents: Bool { environment.outlet.hasEvents }
  var workers: Workers { environment.workers }
  private var description: Description { environment.description }
  private var outlet: Outlet { environment.outlet }

  var isRunning: Bool { phase.load(ordering: .relaxed) == .running }
  private var hasEnded: Bool { phase.load(ordering: .relaxed) == .ended }

  private func run(_ agent: any Agent, _ input: JSONObject) async {
    // It may have been cancelled while it waited for a thread; no agent starts after its end.
    guard isRunning else { return await pushAlways(EventRecord(silent: .cancelled, .cancelled)) }
    let startedAt = Clock.monotonicNanoseconds()
    if outlet.hasEvents {
      await pushAlways(
        encoder.startedRecord(agentName: description.agentName, framework: description.framework))
    }
    let context = StreamContext(execution: self)
    let record: EventRecord
    do {
      let output = try await StreamContext.$current.withValue(context) {
        try await agent.run(input, context: context)
      }
      let seconds = Double((Clock.monotonicNanoseconds() - startedAt) / 1000) / 1_000_000
      record = try completion(output, seconds)
    } catch {
      record = failure(error)
    }
    await pushAlways(record)
  }

  private func completion(_ output: JSONObject, _ seconds: Double) throws -> EventRecord {
    var writer = ByteWriter(capacity: 256)
    do { try writer.append(json: output, name: "output", levels: Limits.valueLevelsMax) } catch {
      throw AgentError(message: "the agent's output cannot be sent: \(error)")
    }
    guard writer.count <= Limits.outputBytesMax else {
      throw AgentError(
        message: "the agent's output has \(writer.count) bytes; at most \(Limits.outputBytesMax) can be sent")
    }
    let ending = AgentEnding.completed(output: writer.array(), latencySeconds: seconds)
    guard outlet.hasEvents else {
      return EventRecord(silent: .complete, ending)
    }
    return try encoder.completedRecord(
      writer.bytes, ending, seconds, agentName: description.agentName, framework: description.framework)
  }

  private func failure(_ error: any Error) -> EventRecord {
    if error is CancellationError, !isRunning {
      return EventRecord(silent: .cancelled, .cancelled)
    }
    let error = AgentError(error, exposesText: environment.exposesErrors).withDetailsThatCanBeSent()
    return outlet.hasEvents ? encoder.failureRecord(error) : EventRecord(silent: .error, .failed(error))
  }

  func admits(_ kind: EventKind) throws -> Bool {
    if !isRunning { throw CancellationError() }
    return outlet.filter.passes(kind)
  }

  func admits(custom name: String) throws -> Bool {
    if !isRunning { throw CancellationError() }
    guard EventKind.isCustomName(name) else { throw EmitError.invalidName(name) }
    return outlet.filter.passes(custom: name)
  }

  /// True when an emit that sends nothing must be checked all the same: `/invoke` refuses what a stream would.
  func checksUnsent(_ kind: EventKind) -> Bool { !outlet.hasEvents && outlet.streamFilter.passes(kind) }

  func checksUnsent(custom name: String) -> Bool {
    !outlet.hasEvents && outlet.streamFilter.passes(custom: name)
  }

  /// Adds an event; false when the ring is full.
  func push(_ record: EventRecord) -> Bool {
    guard ring.push(record) else { return false }
    markReady()
    return true
  }

  func pushWhenThereIsRoom(_ record: EventRecord) async throws {
    environment.counters.ringFullWaits.add(1, ordering: .relaxed)
    while try await !pushOrWait(record) {}
  }

  func pushWaiting(_ record: EventRecord) throws {
    if push(record) { return }
    environment.counters.ringFullWaits.add(1, ordering: .relaxed)
    while true {
      let semaphore = DispatchSemaphore(value: 0)
      if wait(.thread(semaphore), record) { return }
      semaphore.wait()
      if !isRunning { throw CancellationError() }
    }
  }

  /// For the two events that a cancelled agent has too: `started` and its end.
  private func pushAlways(_ record: EventRecord) async {
    while !ring.push(record) {
      if hasEnded { return }
      await waitForRoom { hasEnded }
    }
    markReady()
  }

  private func pushOrWait(_ record: EventRecord) async throws -> Bool {
    if !isRunning { throw CancellationError() }
    if push(record) { return true }
    await waitForRoom { !isRunning }
    return false
  }

  /// Suspends until there may be room, or until it is over.
  func waitForRoom(orUntil isOver: () -> Bool) async {
    await withUnsafeContinuation { continuation in
      register(.task(continuation))
      // The loop may have made room, or it may have become over, before this waiter could be seen.
      if !ring.isFull || isOver() { releaseWaiters() }
    }
  }

  /// Adds the event, or else registers the waiter, which is released when there may be room or the run is over.
  func wait(_ waiter: Waiter, _ record: EventRecord) -> Bool {
    register(waiter)
    if push(record) {
      releaseWaiters()
      return true
    }
    if !isRunning { releaseWaiters() }
    return false
  }

  private func register(_ waiter: Waiter) {
    let list = waiters.load() ?? waiters.storeIfNil(Locked([]))
    list.withLock {
      $0.append(waiter)
      hasWaiters.store(true, ordering: .sequentiallyConsistent)
    }
    atomicMemoryFence(ordering: .sequentiallyConsistent)
  }

  private func releaseWaiters() {
    // Orders what the caller has changed before this look, as `register` orders the list before its caller's look.
    atomicMemoryFence(ordering: .sequentiallyConsistent)
    guard let list = waiters.load() else { return }
    let released = list.withLock { waiters in
      hasWaiters.store(false, ordering: .sequentiallyConsistent)
      defer { waiters = [] }
      return waiters
    }
    for waiter in released {
      switch waiter {
      case .task(let continuation): continuation.resume()
      case .thread(let semaphore): semaphore.signal()
      }
    }
  }
}

/// What workers count, read by the loop for `/metrics`.
public final class WorkerCounters: Sendable {
  /// Emits that found their ring full.
  public let ringFullWaits = Atomic<Int>(0)

  public init() {}
}
