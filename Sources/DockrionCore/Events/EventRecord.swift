import Glibc

/// One event on its way from an agent to the loop: everything but its sequence number.
///
/// `text` is the event in its wire form with a hole at `hole`, where the loop puts the sequence:
///
///     event: token\ndata: {"run_id":"r","type":"token","sequence":⟨hole⟩,"timestamp":"…","content":"Hi"}\n\n
///
/// `nonisolated(unsafe)`: the bytes are written before there is a record, never change, and are freed with it.
public final class EventRecord: Sendable {
  public let kind: EventKind
  /// Where in `text` the sequence belongs.
  public let hole: Int
  /// `CLOCK_MONOTONIC` at the emit, in nanoseconds.
  public let emittedAt: Int64
  /// The name of a custom event; nil for a built-in one.
  public let customName: String?
  /// How the agent ended, on the last record of an execution and on no other.
  public let ending: AgentEnding?
  nonisolated(unsafe) private let bytes: UnsafeRawBufferPointer

  /// Takes over what has been written.
  init(
    _ kind: EventKind, _ text: consuming ByteWriter, hole: Int, emittedAt: Int64, customName: String? = nil,
    ending: AgentEnding? = nil
  ) {
    self.kind = kind
    self.hole = hole
    self.emittedAt = emittedAt
    self.customName = customName
    self.ending = ending
    bytes = text.detach()
  }

  /// The end of an agent that has nothing to say to a client.
  package init(silent kind: EventKind, _ ending: AgentEnding) {
    self.kind = kind
    hole = 0
    emittedAt = Clock.monotonicNanoseconds()
    customName = nil
    self.ending = ending
    bytes = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  deinit { free(UnsafeMutableRawPointer(mutating: bytes.baseAddress)) }

  /// Bytes of the event, its sequence aside; 0 when the agent's end has nothing to say to a client.
  public var count: Int { bytes.count }

  /// Lends the event's bytes.
  public func withText<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    try body(bytes)
  }

  /// Writes the event with its sequence; with `id`, the line that lets a client resume stands in front.
  public func write(sequence: Int, id: Bool, to out: inout ByteWriter) {
    if id {
      out.append("id: ")
      out.append(decimal: sequence)
      out.append(UInt8(ascii: "\n"))
    }
    out.append(UnsafeRawBufferPointer(rebasing: bytes[..<hole]))
    out.append(decimal: sequence)
    out.append(UnsafeRawBufferPointer(rebasing: bytes[hole...]))
  }
}

/// How an agent ended by itself.
public enum AgentEnding: Sendable {
  /// Its output in JSON.
  case completed(output: [UInt8], latencySeconds: Double)
  indirect case failed(AgentError)
  /// It noticed that it was cancelled.
  case cancelled
}

/// The failure of an agent, as clients see it.
///
///     throw AgentError(code: "DOCUMENT_UNREADABLE", message: "page 3 has no text", details: ["page": 3])
public struct AgentError: Error, Sendable, Hashable, CustomStringConvertible {
  /// A word in capitals; `AGENT_ERROR` where the agent does not say.
  public var code: String
  /// A sentence for a person.
  public var message: String
  /// Anything else that helps; left out of the event when nil.
  public var details: JSONObject?
  /// What was thrown, where clients may not see it: for the log.
  package private(set) var hidden: String?

  public init(code: String = "AGENT_ERROR", message: String, details: JSONObject? = nil) {
    self.code = code
    self.message = message
    self.details = details
  }

  public var description: String { "\(code): \(message)" }

  /// The details in JSON; nil where there are none, or none that JSON can hold.
  package var detailsJSON: [UInt8]? {
    guard let details else { return nil }
    var writer = ByteWriter()
    do { try writer.append(json: details, name: "details", levels: Limits.valueLevelsMax) } catch {
      return nil
    }
    return writer.array()
  }

  /// The error with a sentence in place of details that JSON cannot hold or that are too many bytes for an event.
  func withDetailsThatCanBeSent() -> AgentError {
    guard message.utf8.count <= Limits.errorTextBytesMax, code.utf8.count <= Limits.errorCodeBytesMax else {
      return AgentError(
        code: Self.cut(code, Limits.errorCodeBytesMax), message: Self.cut(message, Limits.errorTextBytesMax),
        details: details
      ).withDetailsThatCanBeSent()
    }
    guard let details else { return self }
    var writer = ByteWriter()
    var problem: String?
    do { try writer.append(json: details, name: "details", levels: Limits.valueLevelsMax) } catch {
      problem = error.description
    }
    if writer.count > Limits.eventBytesMax {
      problem = "the details have \(writer.count) bytes; at most \(Limits.eventBytesMax) can be sent"
    }
    guard let problem else { return self }
    return AgentError(code: code, message: message, details: ["unreadable": .string(problem)])
  }

  /// The beginning of a text that is too long, and how long it was, in `most` bytes at most.
  private static func cut(_ text: String, _ most: Int) -> String {
    guard text.utf8.count > most else { return text }
    let note = "… (\(text.utf8.count) bytes)"
    var kept = Array(text.utf8.prefix(max(0, most - note.utf8.count)))
    // Not in the middle of a character.
    while let last = kept.last, last & 0xC0 == 0x80 { kept.removeLast() }
    if let last = kept.last, last >= 0xC0 { kept.removeLast() }
    return String(decoding: kept, as: UTF8.self) + note
  }

  /// What any error is to a client: an `AgentError` as it is, another one as `AGENT_ERROR`.
  ///
  /// - Parameter exposesText: whether the other one's description is the message; otherwise it is `the agent failed`.
  public init(_ error: any Error, exposesText: Bool = true) {
    if let error = error as? AgentError {
      self = error
    } else if exposesText {
      self.init(message: String(describing: error))
    } else {
      self.init(message: "the agent failed")
      hidden = String(describing: error)
    }
  }
}
