/// Puts events into their wire form for one run or request; it runs on the worker that emits.
public final class EventEncoder: Sendable {
  /// Which identifier the events carry.
  public enum Identity: Sendable, Equatable {
    /// Pattern A: `request_id`, and `node` repeated in `step`.
    case request(String)
    /// Pattern B: `run_id`.
    case run(String)

    /// The identifier's text.
    public var id: String {
      switch self {
      case .request(let id), .run(let id): id
      }
    }

    /// The run's id; nil for a request's.
    package var runID: String? {
      if case .run(let id) = self { return id }
      return nil
    }
  }

  public let identity: Identity
  // Between an event's name and its type, the same for all: `\ndata: {"run_id":"r","type":"`.
  private let common: [UInt8]

  public init(identity: Identity) {
    self.identity = identity
    var out = ByteWriter(capacity: 96)
    switch identity {
    case .request: out.append("\ndata: {\"request_id\":\"")
    case .run: out.append("\ndata: {\"run_id\":\"")
    }
    out.append(identity.id)
    out.append("\",\"type\":\"")
    common = out.array()
  }

  /// Names that the common fields take, which a custom event's object may not use.
  public static let commonFields: Set<String> = ["run_id", "request_id", "type", "sequence", "timestamp"]

  /// Encodes one event.
  ///
  /// - Parameters:
  ///   - customName: what stands as `event:` and as `type` of a custom event; the caller has checked it.
  ///   - sizeHint: bytes that the fields will take, about.
  ///   - fields: writes `,"name":value` for each field.
  @inline(__always)
  public func record(
    _ kind: EventKind, customName: String? = nil, sizeHint: Int = 0, ending: AgentEnding? = nil,
    fields: (inout ByteWriter) throws -> Void
  ) rethrows -> EventRecord {
    let emittedAt = Clock.monotonicNanoseconds()
    var out = ByteWriter(capacity: 224 + sizeHint)
    if let customName { writeHead(customName, to: &out) } else { writeHead(kind.word, to: &out) }
    out.append(",\"sequence\":")
    let hole = out.count
    out.append(",\"timestamp\":\"")
    out.append(timestamp: Clock.wallNanoseconds(at: emittedAt))
    out.append(UInt8(ascii: "\""))
    try fields(&out)
    out.append("}\n\n")
    return EventRecord(
      kind, out, hole: hole, emittedAt: emittedAt, customName: customName, ending: ending)
  }

  /// Writes an event that belongs to one connection: no sequence, no `id:`.
  public func writeUnnumbered(
    name: StaticString, timestamp: Bool, to out: inout ByteWriter,
    fields: (inout ByteWriter) -> Void = { _ in }
  ) {
    writeHead(name, to: &out)
    if timestamp {
      out.append(",\"timestamp\":\"")
      out.append(timestamp: Clock.wallNanoseconds())
      out.append(UInt8(ascii: "\""))
    }
    fields(&out)
    out.append("}\n\n")
  }

  private func writeHead(_ name: StaticString, to out: inout ByteWriter) {
    out.append("event: ")
    out.append(name)
    out.append(common)
    out.append(name)
    out.append(UInt8(ascii: "\""))
  }

  private func writeHead(_ name: String, to out: inout ByteWriter) {
    out.append("event: ")
    out.append(name)
    out.append(common)
    out.append(name)
    out.append(UInt8(ascii: "\""))
  }
}

extension ByteWriter {
  mutating func append(member name: StaticString, _ value: String) {
    append(",\"")
    append(name)
    append("\":")
    append(json: value)
  }

  mutating func append(member name: StaticString, _ value: JSONObject) throws(JSONWriteError) {
    append(",\"")
    append(name)
    append("\":")
    try append(json: value, name: "\(name)", levels: Limits.valueLevelsMax)
  }

  mutating func append(member name: StaticString, _ value: Double) throws(JSONWriteError) {
    append(",\"")
    append(name)
    append("\":")
    try append(json: value, name: "\(name)")
  }

  mutating func append(member name: StaticString, _ values: [String]) {
    append(",\"")
    append(name)
    append("\":[")
    for (index, value) in values.enumerated() {
      if index > 0 { append(UInt8(ascii: ",")) }
      append(json: value)
    }
    append(UInt8(ascii: "]"))
  }
}
