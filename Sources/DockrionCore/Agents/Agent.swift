/// What a server runs: a function from a payload to an output that emits events on the way.
///
///     struct SupportBot: Agent {
///       func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
///         for word in ["All", " is", " well"] { try await context.emitToken(word) }
///         return ["answered": true]
///       }
///     }
///
/// It runs on a worker, never on the loop. It should let `CancellationError` pass: a cancelled agent's outcome is
/// decided already. Any other error becomes the `error` event; throw `AgentError` to choose its code.
public protocol Agent: Sendable {
  /// What a payload must look like; checked before the agent is started, unless the Dockfile's own
  /// `io_schema.input` takes its place. Nil takes any object.
  var inputSchema: InputSchema? { get }

  /// Does the work.
  func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject
}

extension Agent {
  public var inputSchema: InputSchema? { nil }
}

/// An agent made of an asynchronous closure.
///
///     let agent = AsyncAgent { input, context in
///       try await context.emitStep("look_up")
///       return ["found": true]
///     }
public struct AsyncAgent: Agent {
  public let inputSchema: InputSchema?
  private let body: @Sendable (JSONObject, StreamContext) async throws -> JSONObject

  public init(
    inputSchema: InputSchema? = nil,
    _ body: @escaping @Sendable (JSONObject, StreamContext) async throws -> JSONObject
  ) {
    self.inputSchema = inputSchema
    self.body = body
  }

  public func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    try await body(input, context)
  }
}

/// An agent made of a closure that blocks its thread: a C library, a synchronous client, a long computation.
///
///     let agent = BlockingAgent { input, context in
///       try context.emitProgress("parsing", 0.5)      // the synchronous form: waits while the ring is full
///       return ["pages": 12]
///     }
///
/// Each takes a thread of its own while it runs; `runtime.worker_threads` bounds how many do at once.
public struct BlockingAgent: Agent {
  public let inputSchema: InputSchema?
  private let body: @Sendable (JSONObject, StreamContext) throws -> JSONObject

  public init(
    inputSchema: InputSchema? = nil,
    _ body: @escaping @Sendable (JSONObject, StreamContext) throws -> JSONObject
  ) {
    self.inputSchema = inputSchema
    self.body = body
  }

  public func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    try await withCheckedThrowingContinuation { continuation in
      context.workers.blocking.async {
        continuation.resume(
          with: Result {
            // The run may have ended while this waited for a thread.
            if context.isCancelled { throw CancellationError() }
            return try StreamContext.$current.withValue(context) { try body(input, context) }
          })
      }
    }
  }
}
