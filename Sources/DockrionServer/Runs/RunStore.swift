import DequeModule
import DockrionCore

/// The memory backend: every run that is kept, the keys that made them, and the bytes they may take.
final class RunStore {
  /// A client's key, and the body it came with.
  struct IdempotencyKey: Equatable {
    let text: String
    private let bodyHash: Int
    private let bodyCount: Int

    init(_ text: String, body: UnsafeRawBufferPointer) {
      self.text = text
      var hasher = Hasher()
      hasher.combine(bytes: body)
      bodyHash = hasher.finalize()
      bodyCount = body.count
    }
  }

  private unowned let server: Server
  private var runs: [String: Run] = [:]
  private var keys: [String: Run] = [:]
  private var ended: Deque<Run> = []
  // Ascending by ordinal; what was removed leaves a hole until half of them are holes.
  private var order: [(ordinal: Int, run: Run?)] = []
  private var holes = 0
  private var nextOrdinal = 1
  /// Bytes that all runs together count for.
  var bytes = 0

  init(_ server: Server) { self.server = server }

  var count: Int { runs.count }

  subscript(id: String) -> Run? { runs[id] }

  /// The run that a client's idempotency key has made.
  subscript(key text: String) -> Run? { keys[text] }

  /// Makes a run under an id that is not taken.
  func add(id: String, key: IdempotencyKey?) -> Run {
    let run = Run(id: id, ordinal: nextOrdinal, server, self)
    nextOrdinal += 1
    runs[id] = run
    order.append((run.ordinal, run))
    if let key {
      run.idempotencyKey = key
      keys[key.text] = run
    }
    return run
  }

  /// A run has reached its final status: from now on it may have to make room.
  func finished(_ run: Run) {
    ended.append(run)
    makeRoom(for: run)
  }

  /// Lets the oldest finished runs go, and then the oldest events of the run that grew, until all fit.
  func makeRoom(for growing: Run) {
    let limit = server.dockfile.streaming.maxLogBytes
    while bytes > limit, let oldest = ended.first, oldest !== growing {
      remove(oldest)
      if ended.first === oldest { ended.removeFirst() }
      oldest.shed()
    }
    while bytes > limit, growing.dropOldestEvent() {}
  }

  /// Forgets a run that has ended.
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

  /// The newest runs below a cursor, newest first, and the cursor of the next page.
  func page(status: RunStatus?, limit: Int, below cursor: Int?) -> (runs: [Run], next: Int?) {
    var found: [Run] = []
    var at = (cursor.flatMap { index(of: $0) } ?? order.count) - 1
    while at >= 0 {
      if let run = order[at].run, status == nil || run.status == status {
        if found.count == limit { return (found, found.last?.ordinal) }
        found.append(run)
      }
      at -= 1
    }
    return (found, nil)
  }

  /// Runs that have not ended.
  var unfinished: [Run] { runs.values.filter { !$0.status.isFinal } }
}
