import DockrionCore

/// Server-Sent Events to one client: the head, chunks, heartbeats, the end.
///
/// It belongs to a `DirectStream` or a `Subscriber`, which says what to send; this knows how.
final class EventStream: ExchangeOwner, DeadlineTarget {
  enum Pattern { case direct, subscription }

  let exchange: Exchange
  private unowned let server: Server
  private let identity: EventEncoder
  private let pattern: Pattern
  private let hasHeartbeats: Bool
  private var heartbeat: DeadlineQueues.Token?
  private var head: [UInt8]
  private var ended = false
  /// Told when the client is gone.
  var onClose: (() -> Void)?
  /// Told when a paused stream may go on.
  var onRoom: (() -> Void)?

  static let headers = [
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache, no-transform"),
    ("X-Accel-Buffering", "no"),
  ]

  /// - Parameters:
  ///   - preface: bytes before the first event.
  ///   - filter: what this subscription was narrowed to.
  init(
    _ exchange: Exchange, _ server: Server, _ identity: EventEncoder, _ pattern: Pattern,
    headers: [(String, String)], preface: StaticString = "", filter: EventsFilter? = nil
  ) {
    hasHeartbeats = server.dockfile.streaming.filter.passes(.heartbeat) && filter?.passes(.heartbeat) ?? true
    self.exchange = exchange
    self.server = server
    self.identity = identity
    self.pattern = pattern
    var writer = ByteWriter(capacity: 512)
    exchange.startStream(
      Self.headers + headers + (server.cors?.headers(exchange) ?? []), head: &writer)
    if preface.utf8CodeUnitCount > 0, !exchange.isHead {
      if exchange.isChunked {
        writer.append(hexadecimal: preface.utf8CodeUnitCount)
        writer.append("\r\n")
      }
      writer.append(preface)
      if exchange.isChunked { writer.append("\r\n") }
    }
    head = writer.array()
    if !server.dockfile.expose.trustedProxies.isEmpty { exchange.forwardedFor = exchange.readForwardedFor() }
    exchange.dropBody()
    exchange.owner = self
    server.streamOpened(pattern)
    heartbeat = server.setDeadline(seconds: server.dockfile.streaming.heartbeatSeconds, self)
  }

  var isOpen: Bool { !ended && exchange.isOpen }

  /// True while so much waits for the client that its source should pause.
  var isPaused: Bool { exchange.connection.backlog >= Limits.streamBufferBytesHigh }

  /// Sends what is in `bytes` as one chunk, after the head when that has not gone yet; `last` ends the stream.
  func send(_ bytes: UnsafeRawBufferPointer, last: Bool = false) {
    guard isOpen else { return }
    let out = server.frame
    out.writer.removeAll(keepingAtMost: 256 << 10)
    if !head.isEmpty {
      out.writer.append(head)
      head = []
    }
    if !exchange.isChunked {
      out.writer.append(bytes)
    } else {
      if !bytes.isEmpty {
        out.writer.append(hexadecimal: bytes.count)
        out.writer.append("\r\n")
        out.writer.append(bytes)
        out.writer.append("\r\n")
      }
      if last { out.writer.append("0\r\n\r\n") }
    }
    exchange.connection.send(out.writer.bytes)
    if !last { server.renewDeadline(heartbeat) }
  }

  /// Sends the head now, when no event has taken it along.
  func sendHead() {
    if !head.isEmpty { send(UnsafeRawBufferPointer(start: nil, count: 0)) }
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
    exchange.connection.send(UnsafeRawBufferPointer(start: nil, count: 0))
    head.withUnsafeBytes { exchange.connection.send($0) }
    head = []
    exchange.finish()
    finished(.finished)
  }

  func deadlinePassed(_ tag: UInt8) {
    guard isOpen else { return }
    heartbeat = server.setDeadline(seconds: server.dockfile.streaming.heartbeatSeconds, self)
    let seconds = max(server.dockfile.streaming.heartbeatSeconds, Limits.silencePatienceSeconds)
    if exchange.connection.isPeerSilent(seconds: seconds) { return exchange.connection.close(.stalled) }
    // A client that has bytes waiting is not silent.
    guard exchange.connection.backlog == 0 else { return }
    var writer = ByteWriter(capacity: 192)
    if hasHeartbeats {
      identity.writeUnnumbered(name: "heartbeat", timestamp: true, to: &writer)
      server.metrics.event(.heartbeat)
    } else {
      writer.append(": keep-alive\n\n")
    }
    send(writer.bytes)
  }

  func roomToSend() {
    if isOpen, exchange.connection.backlog <= Limits.streamBufferBytesLow { onRoom?() }
  }

  func connectionClosed(_ reason: CloseReason) {
    guard !ended else { return }
    finished(reason)
    onClose?()
  }

  private func finished(_ reason: CloseReason) {
    ended = true
    server.clearDeadline(heartbeat)
    heartbeat = nil
    server.streamClosed(pattern, reason, exchange)
    onRoom = nil
  }
}
