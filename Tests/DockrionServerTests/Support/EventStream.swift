import Testing

/// One event as it came.
struct Event: Sendable {
  /// The `retry:` line in front of it, in milliseconds.
  var retry: Int?
  var id: String?
  var type: String
  /// The one line behind `data: `.
  var data: String
  /// When its last byte was read, on the monotonic clock.
  var arrival: UInt64

  func json() throws -> JSON { try JSON(data) }

  /// Nil for what belongs to the connection alone: heartbeats, `timeout`, `gap`.
  var sequence: Int? {
    guard let start = data.firstRange(of: "\"sequence\":") else { return nil }
    return Int(data[start.upperBound...].prefix { $0.isNumber })
  }

  var isTerminal: Bool { ["complete", "error", "cancelled"].contains(type) }
}

/// What an event stream consists of.
enum Frame: Sendable {
  case event(Event)
  /// One line, without an empty one behind it.
  case comment(String)

  var event: Event? {
    guard case .event(let event) = self else { return nil }
    return event
  }
}

/// Takes the exact byte form of the protocol's sections 4 and 6, and throws at anything else.
struct FrameParser {
  private var waiting: [UInt8] = []

  /// Whether the stream ends between two frames.
  var isBetweenFrames: Bool { waiting.isEmpty }

  mutating func feed(_ bytes: [UInt8], arrival: UInt64) throws -> [Frame] {
    waiting += bytes
    var frames: [Frame] = []
    var start = 0
    while start < waiting.count {
      if waiting[start] == UInt8(ascii: ":") {
        guard let end = waiting[start...].firstIndex(of: 10) else { break }
        frames.append(try comment(text(waiting[start..<end])))
        start = end + 1
      } else {
        guard let end = endOfEvent(from: start) else { break }
        frames.append(.event(try event(text(waiting[start..<end]), arrival)))
        start = end + 2
      }
    }
    waiting.removeFirst(start)
    return frames
  }

  /// Where the line feed of an event's last line stands.
  private func endOfEvent(from start: Int) -> Int? {
    var index = start + 1
    while index < waiting.count {
      if waiting[index] == 10, waiting[index - 1] == 10 { return index - 1 }
      index += 1
    }
    return nil
  }

  private func text(_ bytes: ArraySlice<UInt8>) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(13) else {
      throw ClientError("bytes that no frame holds: \(String(decoding: bytes, as: UTF8.self))")
    }
    return text
  }

  private func comment(_ line: String) throws -> Frame {
    guard line.hasPrefix(": ") else { throw ClientError("no comment: \(line)") }
    return .comment(String(line.dropFirst(2)))
  }

  private func event(_ text: String, _ arrival: UInt64) throws -> Event {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    var (retry, id): (Int?, String?)
    if lines[0].hasPrefix("retry: "), let value = Int(lines[0].dropFirst(7)) {
      retry = value
      lines.removeFirst()
    }
    if lines.count == 3, lines[0].hasPrefix("id: ") { id = String(lines.removeFirst().dropFirst(4)) }
    guard lines.count == 2, lines[0].hasPrefix("event: "), lines[1].hasPrefix("data: {"), text.hasSuffix("}")
    else { throw ClientError("no event: \(text)") }
    return Event(
      retry: retry, id: id, type: String(lines[0].dropFirst(7)), data: String(lines[1].dropFirst(6)),
      arrival: arrival)
  }
}

/// A response of type `text/event-stream`, read as it comes.
final class EventStream {
  let connection: Connection
  let head: ResponseHead
  /// Every byte of the body so far.
  private(set) var bytes: [UInt8] = []
  private var parser: ResponseParser
  private var frames = FrameParser()
  private var ready: [Frame] = []
  private var next = 0

  /// Sends the request and reads the response's head.
  init(on connection: Connection, request: String, within seconds: Double = 10) throws {
    self.connection = connection
    let deadline = Deadline.in(seconds)
    var parser = ResponseParser(method: "GET")
    try connection.send(request)
    var first: [UInt8] = []
    while parser.head == nil {
      let bytes = try connection.receive(until: deadline)
      guard !bytes.isEmpty else { throw ClientError("closed before the head") }
      first += try parser.feed(bytes)
    }
    guard let head = parser.head else { throw ClientError("no head") }
    self.head = head
    self.parser = parser
    guard head.status == 200, head["Content-Type"]?.hasPrefix("text/event-stream") == true else {
      throw ClientError(
        "status \(head.status) instead of a stream: \(String(decoding: first, as: UTF8.self))")
    }
    try take(first)
  }

  /// The next frame; nil after the last, once the response has ended as it should.
  func frame(within seconds: Double = 10) throws -> Frame? {
    let deadline = Deadline.in(seconds)
    while next == ready.count {
      if parser.isFinished {
        guard frames.isBetweenFrames else { throw ClientError("the stream ends inside a frame") }
        return nil
      }
      let bytes = try connection.receive(until: deadline)
      if bytes.isEmpty { try parser.end() } else { try take(parser.feed(bytes)) }
    }
    next += 1
    return ready[next - 1]
  }

  /// The next event, whatever comments stand before it; nil at the end.
  func event(within seconds: Double = 10) throws -> Event? {
    while let frame = try frame(within: seconds) {
      if let event = frame.event { return event }
    }
    return nil
  }

  /// The events up to one of this type, which is the last of them.
  func events(through type: String, within seconds: Double = 10) throws -> [Event] {
    var events: [Event] = []
    while let event = try event(within: seconds) {
      events.append(event)
      if event.type == type { return events }
    }
    throw ClientError("the stream ended without \(type): \(events.map(\.type))")
  }

  /// Every event up to the end of the response; `seconds` is the longest silence.
  func remainingEvents(within seconds: Double = 10) throws -> [Event] {
    var events: [Event] = []
    while let event = try event(within: seconds) { events.append(event) }
    return events
  }

  /// The same, for a response in chunks: it is read to its end before anything is looked at, as fast as it comes.
  func eventsOfTheWhole(within seconds: Double = 10) throws -> [Event] {
    var raw: [UInt8] = []
    while !parser.isFinished, !raw.suffix(7).elementsEqual(Array("\r\n0\r\n\r\n".utf8)) {
      let bytes = try connection.receive(until: .in(seconds))
      guard !bytes.isEmpty else { break }
      raw += bytes
    }
    try take(parser.feed(raw))
    return try remainingEvents(within: seconds)
  }

  /// Whether the response came in chunks.
  var isChunked: Bool { parser.isChunked }

  private func take(_ gained: [UInt8]) throws {
    if parser.isFinished { connection.unread(parser.waiting) }
    bytes += gained
    ready += try frames.feed(gained, arrival: monotonicNanoseconds())
  }
}
