import DockrionCore

/// One event of a stream.
package struct ServerSentEvent: Equatable {
  /// The `event:` line; `message` where there is none.
  package var type: String
  /// The `data:` lines, line feeds between them.
  package var data: String
  /// The `id:` line of this event itself; nil where it has none.
  package var id: String?
}

/// Reads an event stream (WHATWG HTML, section 9.2.6) from bytes in whatever pieces they come.
///
///     var parser = ServerSentEventParser()
///     parser.feed(Array("data: a\n\nda".utf8))       // [event "a"]
///     parser.feed(Array("ta: b\r\n\r\n".utf8))       // [event "b"]
package struct ServerSentEventParser {
  /// The last `id:` that an event came with, which a reconnect sends; empty before the first.
  package private(set) var lastEventID = ""
  /// The server's latest `retry:`, in milliseconds.
  package private(set) var retryMilliseconds: Int?

  package init() {}

  private var line: [UInt8] = []
  /// Bytes of the event's lines that were taken.
  private var eventBytes = 0
  private var isFirstLine = true
  private var skipsLineFeed = false
  private var type = ""
  private var data: [String] = []
  private var id: String?

  /// Takes more bytes and returns the events that they complete.
  ///
  /// - Throws: `StreamTooLarge` for an event beyond `Limits.receivedEventBytesMax`; for a `complete`, whose `event:` came
  ///   before its data, beyond `Limits.receivedCompleteBytesMax`.
  package mutating func feed(_ bytes: some Sequence<UInt8>) throws(StreamTooLarge) -> [ServerSentEvent] {
    var events: [ServerSentEvent] = []
    for byte in bytes {
      if skipsLineFeed {
        skipsLineFeed = false
        if byte == 0x0A { continue }
      }
      guard byte == 0x0A || byte == 0x0D else {
        line.append(byte)
        try check()
        continue
      }
      skipsLineFeed = byte == 0x0D
      if isFirstLine, line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
      isFirstLine = false
      // A comment belongs to no event.
      if line.first != UInt8(ascii: ":") { eventBytes += line.count + 1 }
      if let event = takeLine() { events.append(event) }
      line.removeAll(keepingCapacity: true)
    }
    return events
  }

  /// Forgets what has begun: a connection is over and the next one starts anew. The last id stays.
  package mutating func reconnect() {
    let (id, retry) = (lastEventID, retryMilliseconds)
    self = ServerSentEventParser()
    (lastEventID, retryMilliseconds) = (id, retry)
  }

  private func check() throws(StreamTooLarge) {
    let bound = type == "complete" ? Limits.receivedCompleteBytesMax : Limits.receivedEventBytesMax
    if eventBytes + line.count > bound { throw StreamTooLarge(bound: bound) }
  }

  private mutating func takeLine() -> ServerSentEvent? {
    if line.isEmpty { return dispatch() }
    let colon = line.firstIndex(of: UInt8(ascii: ":"))
    // A line that begins with a colon is a comment.
    guard colon != 0 else { return nil }
    let name = String(decoding: line[..<(colon ?? line.endIndex)], as: UTF8.self)
    var value = colon.map { line[($0 + 1)...] } ?? []
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    switch name {
    case "event": type = String(decoding: value, as: UTF8.self)
    case "data": data.append(String(decoding: value, as: UTF8.self))
    case "id": if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
    case "retry":
      let isDigits = !value.isEmpty && value.allSatisfy(ASCII.isDigit)
      if isDigits, let number = Int(String(decoding: value, as: UTF8.self)) { retryMilliseconds = number }
    default: break
    }
    return nil
  }

  private mutating func dispatch() -> ServerSentEvent? {
    defer {
      type = ""
      data = []
      eventBytes = 0
      id = nil
    }
    if let id { lastEventID = id }
    guard !data.isEmpty else { return nil }
    return ServerSentEvent(
      type: type.isEmpty ? "message" : type, data: data.joined(separator: "\n"), id: id)
  }
}

/// An event that has more bytes than a client takes.
package struct StreamTooLarge: Error, CustomStringConvertible {
  let bound: Int

  package var description: String { "the server sent an event of more than \(bound) bytes" }
}
