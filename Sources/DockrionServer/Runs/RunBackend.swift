import DockrionCore

/// Where runs are kept: in this process, or in Redis with other servers.
///
/// Answers come through `then`, at once from memory, later from Redis. Each is called exactly once.
protocol RunBackend: AnyObject {
  /// Why no run can be taken now; nil when all is well.
  var outage: String? { get }
  /// True while nobody knows yet whether runs can be taken.
  var isStarting: Bool { get }
  /// Bytes that the runs in this process count for.
  var bytes: Int { get }
  /// True while something has still to be written elsewhere.
  var hasUnstored: Bool { get }
  /// What `/metrics` says of Redis; nil where there is none.
  var redisFigures: Metrics.Redis? { get }

  /// Makes the record of a run, or finds the one that the same request made before.
  func admit(_ request: RunRequest, _ then: @escaping (Result<RunAdmission, BackendProblem>) -> Void)
  /// A run's record; nil when there is no such run.
  func record(_ id: String, _ then: @escaping (Result<RunRecord?, BackendProblem>) -> Void)
  /// Runs, newest first.
  func page(_ query: RunPageQuery, _ then: @escaping (Result<RunPage, BackendProblem>) -> Void)
  /// Cancels a run, wherever its agent is.
  func cancel(
    _ id: String, reason: String?, _ then: @escaping (Result<CancelOutcome, BackendProblem>) -> Void)
  /// A run's events; nil when there is no such run.
  func feed(_ id: String, _ then: @escaping (Result<RunFeed?, BackendProblem>) -> Void)
  /// Sends what the last tick has left to be sent; before every turn of the loop.
  func flush()
  /// Lets go of what the backend holds elsewhere; for the end of the process.
  func close()
}

/// `POST /runs`, as far as a backend must know it.
struct RunRequest {
  /// An id that the client chose.
  let id: String?
  let key: IdempotencyKey?
  let agent: ServedAgent
  /// What the payload takes in memory, about.
  let payloadBytes: Int
  /// Keeps a place for the agent; asked before a record is made.
  let reserve: () throws(AgentRefusal) -> Void
  /// Starts the agent of a run that was answered with after its own request had failed.
  let start: (Run) -> Void
}

extension RunRequest {
  /// Keeps a place for the agent, or says why there is none.
  func reserveOrThrow() throws(BackendProblem) {
    do { try reserve() } catch { throw .refused(error) }
  }
}

enum RunAdmission {
  /// A new run, whose agent is to be started.
  case new(Run)
  /// The run that the same request made before.
  case repeated(id: String, createdAt: Int64)
}

enum CancelOutcome {
  case cancelled, unknown
  case finished(RunStatus)
}

struct RunPageQuery {
  let status: RunStatus?
  /// Only the runs of the agent with that name.
  let agent: String?
  let limit: Int
  let cursor: String?

  func matches(_ status: RunStatus, _ agent: String) -> Bool {
    (self.status == nil || self.status == status) && (self.agent == nil || self.agent == agent)
  }
}

struct RunPage {
  var records: [RunRecord] = []
  var next: String?
  /// Bytes that the records take, about.
  private(set) var bytes = 0

  /// Adds a record; false when the page has become as large as one may.
  mutating func add(_ record: RunRecord) -> Bool {
    records.append(record)
    bytes += (record.output?.count ?? 0) + (record.error?.count ?? 0) + 400
    return bytes <= Limits.runsPageBytesMax
  }
}

/// A client's key that makes a request safe to repeat, and the body it came with.
struct IdempotencyKey: Equatable {
  let text: String
  /// Length and 64-bit FNV-1a of the body: the same on every server. Behind them the agent's name.
  let body: String

  /// - Parameter agent: nil for the one whose routes have no prefix.
  init(_ text: String, body bytes: UnsafeRawBufferPointer, agent: String?) {
    self.text = text
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    body = "\(bytes.count)-\(String(hash, radix: 16))\(agent.map { "-\($0)" } ?? "")"
  }
}
