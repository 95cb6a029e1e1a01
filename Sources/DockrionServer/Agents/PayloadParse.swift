import DockrionCore

/// A payload that an agent is to get.
struct Payload {
  let object: JSONObject
  /// What it takes in memory, about.
  let bytes: Int

  /// Why a body is no payload.
  enum Problem: Error {
    /// It is no JSON object, for that reason.
    case unreadable(String)
    /// It does not fit the agent's input schema, there and so.
    case unfit(String)
  }

  /// Parses a body and checks it against the schema.
  static func parse(_ bytes: UnsafeRawBufferPointer, _ schema: InputSchema?) -> Result<Payload, Problem> {
    let object: JSONObject
    var memory = 0
    do {
      object = try JSONObject(parsing: bytes, memoryBytes: &memory, levelsMax: Limits.valueLevelsMax)
    } catch {
      return .failure(.unreadable("\(error)"))
    }
    if let violation = schema?.check(object) { return .failure(.unfit("\(violation)")) }
    return .success(Payload(object: object, bytes: memory))
  }
}

/// A large request body while a worker parses it; small ones are parsed where they arrive.
///
/// `@unchecked Sendable`, as every `LoopItem`: what stands here is constant, or behind a lock.
final class PayloadParse: LoopItem, @unchecked Sendable {
  typealias Outcome = Result<Payload, Payload.Problem>

  let bytes: [UInt8]
  private let schema: InputSchema?
  private let onParsed: LoopHandler<PayloadParse>
  private let outcome = Locked<Outcome?>(nil)

  /// - Parameter onParsed: told on the loop when `take` has something.
  init(_ bytes: [UInt8], _ schema: InputSchema?, onParsed: LoopHandler<PayloadParse>) {
    self.bytes = bytes
    self.schema = schema
    self.onParsed = onParsed
  }

  /// Parses on a worker.
  func start(on worker: WorkerPool, _ inbox: Inbox) {
    worker.async { [self] in
      let parsed = bytes.withUnsafeBytes { Payload.parse($0, schema) }
      outcome.withLock { $0 = parsed }
      inbox.mark(self)
    }
  }

  override func onLoop() { onParsed(self) }

  /// Takes what came out; nil when it has been taken.
  func take() -> Outcome? {
    outcome.withLock { outcome in
      defer { outcome = nil }
      return outcome
    }
  }
}
