/// Where an agent emits its events.
///
///     try await context.emitProgress("processing", 0.5, message: "Halfway done")
///     try await context.emit("fraud_check", ["passed": true, "score": 0.02])
///
/// Every call has two forms with one name: in asynchronous code it suspends while the ring is full, in synchronous
/// code it waits. Both answer whether the filter let the event through; what the filter holds back costs nothing
/// and is not checked. Any number of tasks may emit at once; the events of each keep their order.
///
/// All of them throw `CancellationError` after the run was cancelled or has ended, and `EmitError` for what cannot
/// be sent.
public struct StreamContext: Sendable {
  /// The context of the agent that is running here, for code that it is not handed to; nil outside of agents.
  @TaskLocal public static var current: StreamContext?

  let execution: Execution

  /// The run id, or the request id behind `/invoke` and `/invoke/stream`.
  public var id: String { execution.encoder.identity.id }
  /// True once the run was cancelled or has ended. Long computations that emit nothing should look at it.
  public var isCancelled: Bool { !execution.isRunning }

  var workers: Workers { execution.workers }

  // MARK: Asynchronous

  /// Emits `progress`. A value outside 0…1 is clamped.
  @discardableResult
  public func emitProgress(_ step: String, _ progress: Double, message: String? = nil) async throws -> Bool {
    guard try execution.admits(.progress) else {
      try execution.checkUnsentProgress(step, progress, message)
      return false
    }
    try await push(execution.progress(step, progress, message))
    return true
  }

  /// Emits `checkpoint`: intermediate state under a name.
  @discardableResult
  public func checkpoint(_ name: String, _ data: JSONObject) async throws -> Bool {
    guard try execution.admits(.checkpoint) else {
      try execution.checkUnsentCheckpoint(name, data)
      return false
    }
    try await push(execution.checkpoint(name, data))
    return true
  }

  /// Emits `token`: a piece of generated text.
  @discardableResult
  public func emitToken(_ content: String, finishReason: String? = nil) async throws -> Bool {
    guard try execution.admits(.token) else {
      try execution.checkUnsentToken(content, finishReason)
      return false
    }
    try await push(execution.token(content, finishReason))
    return true
  }

  /// Emits `step`: a node of the agent has done its work. The duration is in milliseconds.
  @discardableResult
  public func emitStep(
    _ nodeName: String, durationMS: Double? = nil, inputKeys: [String] = [], outputKeys: [String] = []
  ) async throws -> Bool {
    guard try execution.admits(.step) else {
      try execution.checkUnsentStep(nodeName, durationMS, inputKeys, outputKeys)
      return false
    }
    try await push(execution.step(nodeName, durationMS, inputKeys, outputKeys))
    return true
  }

  /// Emits a custom event. The name matches `^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`; the object's members become fields.
  @discardableResult
  public func emit(_ name: String, _ fields: JSONObject = [:]) async throws -> Bool {
    guard try execution.admits(custom: name) else {
      try execution.checkUnsentCustom(name, fields)
      return false
    }
    try await push(execution.custom(name, fields))
    return true
  }

  /// Without a call that could suspend, as long as there is room.
  @inline(__always)
  private func push(_ record: EventRecord) async throws {
    if !execution.push(record) { try await execution.pushWhenThereIsRoom(record) }
  }

  // MARK: Synchronous

  /// Emits `progress`, waiting for room.
  @discardableResult
  public func emitProgress(_ step: String, _ progress: Double, message: String? = nil) throws -> Bool {
    guard try execution.admits(.progress) else {
      try execution.checkUnsentProgress(step, progress, message)
      return false
    }
    try execution.pushWaiting(execution.progress(step, progress, message))
    return true
  }

  /// Emits `checkpoint`, waiting for room.
  @discardableResult
  public func checkpoint(_ name: String, _ data: JSONObject) throws -> Bool {
    guard try execution.admits(.checkpoint) else {
      try execution.checkUnsentCheckpoint(name, data)
      return false
    }
    try execution.pushWaiting(execution.checkpoint(name, data))
    return true
  }

  /// Emits `token`, waiting for room.
  @discardableResult
  public func emitToken(_ content: String, finishReason: String? = nil) throws -> Bool {
    guard try execution.admits(.token) else {
      try execution.checkUnsentToken(content, finishReason)
      return false
    }
    try execution.pushWaiting(execution.token(content, finishReason))
    return true
  }

  /// Emits `step`, waiting for room.
  @discardableResult
  public func emitStep(
    _ nodeName: String, durationMS: Double? = nil, inputKeys: [String] = [], outputKeys: [String] = []
  ) throws -> Bool {
    guard try execution.admits(.step) else {
      try execution.checkUnsentStep(nodeName, durationMS, inputKeys, outputKeys)
      return false
    }
    try execution.pushWaiting(execution.step(nodeName, durationMS, inputKeys, outputKeys))
    return true
  }

  /// Emits a custom event, waiting for room.
  @discardableResult
  public func emit(_ name: String, _ fields: JSONObject = [:]) throws -> Bool {
    guard try execution.admits(custom: name) else {
      try execution.checkUnsentCustom(name, fields)
      return false
    }
    try execution.pushWaiting(execution.custom(name, fields))
    return true
  }
}

/// An event that cannot be sent. The agent may catch it and go on.
public enum EmitError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A custom event's name is not `^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$`, is a built-in event's, or is over 128 bytes.
  case invalidName(String)
  /// A custom event's object uses a common field's name.
  case reservedField(String, event: String)
  /// A number is not finite; the text says which.
  case notRepresentable(String)
  /// The event has more bytes than `Limits.eventBytesMax`.
  case tooLarge(bytes: Int)

  public var description: String {
    switch self {
    case .invalidName(let name):
      "\(quoted(name)) cannot be a custom event's name: it needs letters, digits and _, no digit first, "
        + "at most \(Limits.eventNameBytesMax) bytes, and must not be a built-in event"
    case .reservedField(let field, let event):
      "the field \"\(field)\" of event \"\(event)\" is a common field that every event carries; rename it"
    case .notRepresentable(let reason): reason
    case .tooLarge(let bytes): "the event has \(bytes) bytes; at most \(Limits.eventBytesMax) can be sent"
    }
  }
}
