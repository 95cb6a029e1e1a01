import DockrionCore
import DockrionLoop

/// Server-Sent Events to one client: the head, chunks, heartbeats, the end.
///
/// It belongs to a `DirectStream` or a `Subscriber`, which owns the exchange and says what to send; this knows how.
final class EventStream: DeadlineTarget {
  enum Pattern { case direct, subscription }

  let exchange: Exchange
  private let book: StreamBook
  private let agent: Int
  private let identity: EventEncoder
  private let pattern: Pattern
  private let hasHeartbeats: Bool
  private var heartbeat: DeadlineQueues.Token?
  private var hasHead = false
  /// True until the stream's first event, whose block has the `retry:` line: a block of that line alone is an event
  /// without data to many clients.
  private var owesRetry: Bool
  private var ended = false
  private var heardAt: Int64

  /// - Parameters:
  ///   - agent: whose events it sends, as the metrics number it.
  ///   - hasHeartbeats: whether a heartbeat is an event, or a comment.
  init(
    _ exchange: Exchange, _ book: StreamBook, _ identity: EventEncoder, _ pattern: Pattern, agent: Int,
    hasHeartbeats: Bool
  ) {
    self.hasHeartbeats = hasHeartbeats
    self.exchange = exchange
    self.book = book
    self.agent = agent
    self.identity = identity
    self.pattern = pattern
    owesRetry = pattern == .subscription
    heardAt = exchange.startedAt
    book.opened(pattern, exchange)
    heartbeat = book.deadlines.set(seconds: book.heartbeatSeconds, self)
  }

  var isOpen: Bool { !ended && exchange.isOpen }

  /// True while so much waits for the client that its source should pause.
  var isPaused: Bool { exchange.connection.backlog >= Limits.streamBufferBytesHigh }

  /// Sends what is in `bytes`, whole events or comments, as one chunk, after the head when that has not gone yet;
  /// `last` ends the stream.
  func send(_ bytes: UnsafeRawBufferPointer, last: Bool = false) {
    guard isOpen else { return }
    // No heartbeat is ever due in a stream that is busy.
    if !last, book.deadlines.now - heardAt >= Int64(patienceSeconds) * Clock.second, closeIfSilent() {
      return
    }
    let out = book.frame
    out.writer.reuse()
    if !hasHead { writeHead(to: &out.writer) }
    let preface: StaticString = takesRetry(bytes) ? "retry: 2000\n" : ""
    if !exchange.isChunked {
      out.writer.append(preface)
      out.writer.append(bytes)
    } else {
      if !bytes.isEmpty {
        out.writer.append(hexadecimal: preface.utf8CodeUnitCount + bytes.count)
        out.writer.append("\r\n")
        out.writer.append(preface)
        out.writer.append(bytes)
        out.writer.append("\r\n")
      }
      if last { out.writer.append("0\r\n\r\n") }
    }
    exchange.connection.send(out.writer.bytes)
    guard !last else { return }
    book.deadlines.renew(heartbeat)
  }

  /// True when these bytes begin with the first event of a subscription; not for a comment.
  private func takesRetry(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard owesRetry, let first = bytes.first, first != UInt8(ascii: ":") else { return false }
    owesRetry = false
    return true
  }

  private var patienceSeconds: Int {
    max(book.heartbeatSeconds, Limits.silencePatienceSeconds)
  }

  /// Closes the connection when its peer has acknowledged nothing for as long as one may; before something is sent.
  private func closeIfSilent() -> Bool {
    heardAt = book.deadlines.now
    guard exchange.connection.isPeerSilent(seconds: patienceSeconds) else { return false }
    exchange.connection.close(.stalled)
    return true
  }

  private func writeHead(to out: inout ByteWriter) {
    hasHead = true
    exchange.startStream(
      book.headers(exchange), requestID: pattern == .direct ? identity.identity.id : nil, head: &out)
    exchange.dropBody()
  }

  /// Sends the head now, when no event has taken it along.
  func sendHead() {
    if !hasHead { send(UnsafeRawBufferPointer(start: nil, count: 0)) }
  }

  /// Ends the stream, after a last chunk.
  func end(
    _ reason: CloseReason, _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    guard isOpen else { return }
    send(bytes, last: true)
    exchange.finish()
    finished(reason)
  }

  /// Answers a `HEAD` request: the head and nothing else.
  func endHead() {
    guard isOpen else { return }
    book.frame.writer.reuse()
    writeHead(to: &book.frame.writer)
    exchange.connection.send(book.frame.writer.bytes)
    exchange.finish()
    finished(.finished)
  }

  func deadlinePassed(_ tag: UInt8) {
    guard isOpen else { return }
    heartbeat = book.deadlines.set(seconds: book.heartbeatSeconds, self)
    if closeIfSilent() { return }
    // A client that has bytes waiting needs no heartbeat.
    guard exchange.connection.backlog == 0 else { return }
    var writer = ByteWriter(capacity: 192)
    if hasHeartbeats {
      identity.writeUnnumbered(name: "heartbeat", timestamp: true, to: &writer)
      book.metrics.event(.heartbeat, agent: agent)
    } else {
      // Without an empty line: after an `id:` many clients take one for an event without data.
      writer.append(": keep-alive\n")
    }
    send(writer.bytes)
  }

  /// True when a paused source may go on.
  var hasRoom: Bool { isOpen && exchange.connection.backlog <= Limits.streamBufferBytesLow }

  /// The client is gone; false when the stream had ended before.
  func closed(_ reason: CloseReason) -> Bool {
    guard !ended else { return false }
    finished(reason)
    return true
  }

  private func finished(_ reason: CloseReason) {
    ended = true
    book.deadlines.clear(heartbeat)
    heartbeat = nil
    book.closed(pattern, reason, exchange)
  }
}
