import DockrionCore
import DockrionLoop

/// A payload that an agent is to get.
struct Payload {
  let object: JSONObject
  /// What it takes in memory, about.
  let bytes: Int
}

/// A large request body while a worker parses it; small ones are parsed where they arrive.
final class PayloadParse: ReadyItem {
  typealias Outcome = Result<Payload, ErrorReply>

  private let readyLink = ReadyLink()
  let bytes: [UInt8]
  private let schema: InputSchema?
  private let outcome = Locked<Outcome?>(nil)

  init(_ bytes: [UInt8], _ schema: InputSchema?) {
    self.bytes = bytes
    self.schema = schema
  }

  func withReadyLink<Result>(_ body: (borrowing ReadyLink) -> Result) -> Result { body(readyLink) }

  /// Parses on a worker; the parse is then marked in `ready`.
  func start(on worker: WorkerPool, _ ready: ReadyQueue<PayloadParse>) {
    worker.async { [self] in
      let parsed = bytes.withUnsafeBytes { Self.parse($0, schema) }
      outcome.withLock { $0 = parsed }
      ready.mark(self)
    }
  }

  /// Takes what came out; nil when it has been taken.
  func take() -> Outcome? {
    outcome.withLock { outcome in
      defer { outcome = nil }
      return outcome
    }
  }

  /// Parses a body and checks it against the schema.
  static func parse(_ bytes: UnsafeRawBufferPointer, _ schema: InputSchema?) -> Outcome {
    let object: JSONObject
    var memory = 0
    do {
      object = try JSONObject(parsing: bytes, memoryBytes: &memory, levelsMax: Limits.valueLevelsMax)
    } catch {
      return .failure(ErrorReply(400, "VALIDATION_ERROR", "body: a JSON object is needed: \(error)"))
    }
    if let violation = schema?.check(object) {
      return .failure(
        ErrorReply(422, "VALIDATION_ERROR", "the payload does not fit the input schema: \(violation)"))
    }
    return .success(Payload(object: object, bytes: memory))
  }
}

/// A request that waits for its payload. Its time limit runs.
final class PendingRequest: ExchangeOwner, DeadlineTarget {
  let exchange: Exchange
  let endpoint: Endpoint
  private unowned let server: Server
  private var limit: DeadlineQueues.Token?

  init(_ exchange: Exchange, _ endpoint: Endpoint, _ server: Server) {
    self.exchange = exchange
    self.endpoint = endpoint
    self.server = server
    exchange.owner = self
    limit = server.setTimeLimit(self)
  }

  /// Ends the waiting: the time limit, to be handed on; nil when the client has left or has its reply.
  func takeLimit() -> DeadlineQueues.Token? {
    defer { limit = nil }
    if limit != nil { exchange.owner = nil }
    return limit
  }

  func connectionClosed(_ reason: CloseReason) {
    server.clearDeadline(limit)
    limit = nil
  }

  func roomToSend() {}

  func deadlinePassed(_ tag: UInt8) {
    limit = nil
    exchange.owner = nil
    server.reply(exchange, server.runTimeout)
  }
}

/// Holds the time limit of a run while its record is being made; when it passes, the run hears of it at its start.
final class UnstartedRun: DeadlineTarget {
  func deadlinePassed(_ tag: UInt8) {}
}
