import DequeModule
import DockrionCore

/// The memory backend: every run that is kept, the keys that made them, and the bytes they may take.
final class MemoryBackend: RunBackend, RunKeeper {
  private let context: RunContext
  private var runs: [String: Run] = [:]
  private var keys: [String: Run] = [:]
  private var ended: Deque<Run> = []
  // Ascending by ordinal; what was removed leaves a hole until half of them are holes.
  private var order: [(ordinal: Int, run: Run?)] = []
  private var holes = 0
  private var nextOrdinal = 1
  private var search = RoomSearch()
  var bytes = 0

  init(_ context: RunContext) { self.context = context }

  var outage: String? { nil }
  var isStarting: Bool { false }
  var hasUnstored: Bool { false }
  var redisFigures: Metrics.Redis? { nil }
  var keepSeconds: Int { context.bounds.retentionSeconds }

  func flush() {}
  func close() {}

  // MARK: RunBackend

  func admit(_ request: RunRequest, _ then: @escaping (Result<RunAdmission, BackendProblem>) -> Void) {
    then(Result { () throws(BackendProblem) in try admitted(request) })
  }

  private func admitted(_ request: RunRequest) throws(BackendProblem) -> RunAdmission {
    if let key = request.key, let run = keys[key.text] {
      guard run.idempotencyKey == key else { throw .keyReused(run: run.id) }
      return .repeated(id: run.id, createdAt: run.createdAt)
    }
    try request.reserveOrThrow()
    try checkRoom()
    if let id = request.id, runs[id] != nil { throw .runExists(id) }
    let run = Run(id: request.id ?? context.ids.next(), request.agent, context, self)
    run.ordinal = nextOrdinal
    nextOrdinal += 1
    runs[run.id] = run
    order.append((run.ordinal, run))
    if let key = request.key {
      run.idempotencyKey = key
      keys[key.text] = run
    }
    return .new(run)
  }

  func record(_ id: String, _ then: @escaping (Result<RunRecord?, BackendProblem>) -> Void) {
    then(.success(runs[id]?.record))
  }

  func feed(_ id: String, _ then: @escaping (Result<RunFeed?, BackendProblem>) -> Void) {
    then(.success(runs[id]?.feed))
  }

  func cancel(
    _ id: String, reason: String?, _ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void
  ) {
    guard let run = runs[id] else { return then(.success(.unknown)) }
    then(.success(run.cancelByClient(reason: reason) ? .cancelled : .finished(run.status)))
  }

  func page(_ query: RunPageQuery, _ then: @escaping (Result<RunPage, BackendProblem>) -> Void) {
    var at = order.count - 1
    if let cursor = query.cursor {
      guard let ordinal = Int(cursor), ordinal >= 0 else { return then(.failure(.badCursor(cursor))) }
      at = (index(of: ordinal) ?? order.count) - 1
    }
    var page = RunPage()
    var hasRoom = true
    while at >= 0 {
      if let run = order[at].run, query.matches(run.status, run.agent.name) {
        if !hasRoom || page.records.count == query.limit { return then(.success(page)) }
        hasRoom = page.add(run.record)
        page.next = "\(run.ordinal)"
      }
      at -= 1
    }
    page.next = nil
    then(.success(page))
  }

  // MARK: RunKeeper

  func finished(_ run: Run) {
    ended.append(run)
    _ = makeRoom(for: run, 0)
  }

  /// An event is kept before there must be room for it: it may take the place of the run's others, and a terminal one
  /// that does not fit is given to its subscribers and forgotten.
  func makeRoom(for growing: Run, _ more: Int) -> Bool {
    let limit = context.bounds.logBytesMax
    guard bytes > limit else { return true }
    forgetFinished(downTo: limit, but: growing)
    while bytes > limit, growing.dropOldestEvent() {}
    // What alone takes most of the room would cost all others theirs.
    if bytes > limit, growing.heldBytes <= limit / 2 { takeFromOthers(limit) }
    // An output alone can be more than fits.
    guard bytes > limit, growing.status.isFinal else { return bytes <= limit }
    remove(growing)
    growing.shed()
    return true
  }

  private func forgetFinished(downTo limit: Int, but growing: Run?) {
    while bytes > limit, let oldest = ended.first, oldest !== growing {
      remove(oldest)
      if ended.first === oldest { ended.removeFirst() }
      oldest.shed()
    }
  }

  private func takeFromOthers(_ limit: Int) {
    search.free(
      limit, now: context.deadlines.now, runs: { Array(runs.values) }, isEnough: { bytes + $0 <= limit })
  }

  /// Refuses a new run while less than a sixteenth of the room is free and nothing can be given up.
  private func checkRoom() throws(BackendProblem) {
    let limit = context.bounds.logBytesMax
    let most = limit - limit / 16
    guard bytes > most else { return }
    forgetFinished(downTo: most, but: nil)
    if bytes > most { takeFromOthers(limit) }
    if bytes > most { throw .noRoom(bytes: bytes, most: limit, free: limit / 16) }
  }

  func remove(_ run: Run) {
    guard runs[run.id] === run else { return }
    runs[run.id] = nil
    if let key = run.idempotencyKey { keys[key.text] = nil }
    run.removed()
    if ended.first === run { ended.removeFirst() }
    if let index = index(of: run.ordinal), order[index].ordinal == run.ordinal {
      order[index].run = nil
      holes += 1
      if holes > 64, holes * 2 > order.count {
        order.removeAll { $0.run == nil }
        holes = 0
      }
    }
  }

  /// The first position whose ordinal is at least that.
  private func index(of ordinal: Int) -> Int? {
    var (low, high) = (0, order.count)
    while low < high {
      let middle = (low + high) / 2
      if order[middle].ordinal < ordinal { low = middle + 1 } else { high = middle }
    }
    return low < order.count ? low : nil
  }
}
