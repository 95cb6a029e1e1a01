import CLibevent
import DockrionCore
import Glibc

typealias RequestPointer = UnsafeMutablePointer<evhttp_request>

/// One client connection of evhttp, from accept to close, and the bytes on their way out of it.
///
/// Replies and stream chunks are written to the socket at once; what the socket does not take waits in the
/// bufferevent's output, which writes it when it can. evhttp reads and parses requests, and is told through
/// `evhttp_send_reply_end` when one has been answered. While one is being answered the bufferevent's callbacks are
/// ours, so that a client that goes away is noticed at once; libevent would look only after a first write.
package final class Connection: DeadlineTarget {
  let listener: HTTPListener
  private let evcon: OpaquePointer
  private let buffer: OpaquePointer
  let descriptor: Int32
  private var deadline: DeadlineQueues.Token?
  private var queuedBytes = 0
  private var silence = PeerSilence()
  private var sentAtDeadline = 0
  private var closing = false
  private var countedUnsent = 0
  private var received = 0
  /// Bytes of replies so far, sent or waiting.
  private(set) var repliedBytes = 0
  // Between a reply and the first byte of the next request.
  private var isKeptAlive = false
  private let gate: RequestGate
  private var begun = 0
  // Watches for input beside evhttp, which turns its own watch off and on around each request: as long as this one
  // stands, that is no change for the kernel, and spares a call of it.
  private var watch: OpaquePointer?
  private var isWatching = false
  // The last reply said that the connection closes, and its whole request had been read.
  private var endedCleanly = false

  /// The request that is being answered.
  private(set) var exchange: Exchange?
  /// Why the connection is being closed, once something knows.
  private(set) var closeReason: CloseReason?
  private(set) var isOpen = true

  init(_ evcon: OpaquePointer, _ buffer: OpaquePointer, _ gate: RequestGate, _ listener: HTTPListener) {
    self.evcon = evcon
    self.buffer = buffer
    self.gate = gate
    self.listener = listener
    descriptor = bufferevent_getfd(buffer)
    evhttp_connection_set_closecb(
      evcon, { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().closed() },
      Unmanaged.passUnretained(self).toOpaque())
    gate.connection = self
    watch = listener.makeWatch(
      descriptor, { _, _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().readable() },
      Unmanaged.passUnretained(self).toOpaque())
    setDeadline(seconds: listener.limits.requestTimeoutSeconds)
  }

  /// Input has come. When nobody takes it for now, a watch would announce it again and again.
  private func readable() {
    guard bufferevent_get_enabled(buffer) & Int16(EV_READ) == 0, let watch else { return }
    event_del(watch)
    isWatching = false
  }

  /// The peer's IP address; it says nothing on a Unix socket.
  package var peerAddress: String {
    var (text, port): (UnsafeMutablePointer<CChar>?, UInt16) = (nil, 0)
    evhttp_connection_get_peer(evcon, &text, &port)
    return text.map { String(cString: $0) } ?? ""
  }

  // MARK: Requests

  /// Bytes of a request have come in; the gate or evhttp keeps them until the request is whole.
  func receiving(_ count: Int) {
    guard isOpen, !closing else { return }
    if isKeptAlive {
      isKeptAlive = false
      setDeadline(seconds: listener.limits.requestTimeoutSeconds)
    }
    received += count
    listener.bufferedBytes += count
    listener.boundBuffered()
  }

  /// Brings the listener's sum up to date with what this connection holds of requests: a body, and what is pipelined.
  func countReceived() {
    var now = 0
    if isOpen, !closing {
      now =
        evbuffer_get_length(bufferevent_get_input(buffer)) + gate.heldCount + (exchange?.bodyCount ?? 0)
    }
    listener.bufferedBytes += now - received
    received = now
  }

  /// A whole request has been read.
  func begin(_ request: RequestPointer) {
    listener.deadlines.clear(deadline)
    deadline = nil
    countUnsent()
    bufferevent_setcb(
      buffer, { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().pipelined() },
      { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().written() },
      { _, what, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().happened(what) },
      Unmanaged.passUnretained(self).toOpaque())
    bufferevent_enable(buffer, Int16(EV_READ))
    if !isWatching, let watch { isWatching = event_add(watch, nil) == 0 }
    let exchange = Exchange(self, request)
    self.exchange = exchange
    begun += 1
    if gate.framing.isOver, begun == gate.framing.requestCount {
      exchange.refusal = gate.framing.refusal
      exchange.refusedHead = gate.framing.refusedHead
      exchange.closeAfterReply()
    }
    countReceived()
    listener.handle(exchange)
  }

  /// Called when an exchange has written its last byte.
  ///
  /// - Parameters:
  ///   - closing: evhttp closes the connection once the bytes are out.
  ///   - unread: a part of the request may still be on its way.
  func end(_ request: RequestPointer, closing: Bool, unread: Bool) {
    exchange = nil
    endedCleanly = closing && !unread
    countReceived()
    if closing { evhttp_add_header(request.pointee.output_headers, "Connection", "close") }
    // The reply's framing is ours; without this evhttp would add a last chunk after a chunked request.
    request.pointee.chunked = 0
    if backlog > 0 {
      bufferevent_setwatermark(buffer, Int16(EV_WRITE), 0, 0)
      let callbacks = listener.callbacks
      bufferevent_setcb(buffer, nil, callbacks.write, callbacks.event, UnsafeMutableRawPointer(evcon))
      bufferevent_enable(buffer, Int16(EV_WRITE))
      // evhttp reads on when the reply is out; until then nobody would bound what comes in.
      bufferevent_disable(buffer, Int16(EV_READ))
    }
    isKeptAlive = evbuffer_get_length(bufferevent_get_input(buffer)) == 0 && gate.heldCount == 0
    setDeadline(
      seconds: isKeptAlive ? listener.limits.keepAliveSeconds : listener.limits.requestTimeoutSeconds)
    evhttp_send_reply_end(request)
  }

  private func pipelined() {
    // The bytes wait for evhttp. Not to read them would mean not to notice when the client goes away.
    guard evbuffer_get_length(bufferevent_get_input(buffer)) > Limits.pipelinedBytesMax, !closing else {
      return
    }
    if let exchange { listener.onFlood(exchange) }
    close(.client)
  }

  /// True when the peer has acknowledged nothing for that long of what had been sent by then; to be asked before
  /// something is sent. Always false for a Unix socket.
  package func isPeerSilent(seconds: Int) -> Bool {
    var info = tcp_info()
    var size = socklen_t(MemoryLayout<tcp_info>.size)
    var unacknowledged: Int32 = 0
    guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &size) == 0,
      ioctl(descriptor, UInt(TIOCOUTQ), &unacknowledged) == 0
    else { return false }
    return silence.look(
      PeerSilence.State(
        acknowledged: repliedBytes - backlog - Int(unacknowledged), isInFlight: info.tcpi_unacked > 0,
        heard: .milliseconds(info.tcpi_last_ack_recv)),
      at: .nanoseconds(listener.now), patience: .seconds(seconds))
  }

  // MARK: Bytes out

  /// Bytes that wait here: of a request that is not whole, or that the socket has not taken.
  var buffered: Int { received + countedUnsent }

  /// Bytes that the socket has not taken yet.
  package var backlog: Int { evbuffer_get_length(bufferevent_get_output(buffer)) }

  /// Sends bytes, keeping what the socket does not take.
  package func send(_ bytes: UnsafeRawBufferPointer) {
    guard isOpen, !closing, let base = bytes.baseAddress else { return }
    listener.sentBytes += bytes.count
    repliedBytes &+= bytes.count
    var sent = 0
    if backlog == 0 {
      sent = Glibc.send(descriptor, base, bytes.count, Int32(MSG_NOSIGNAL))
      if sent == bytes.count { return }
      if sent < 0 {
        guard errno == EAGAIN || errno == EINTR else { return close(.client) }
        sent = 0
      }
    }
    evbuffer_add(bufferevent_get_output(buffer), base + sent, bytes.count - sent)
    queuedBytes += bytes.count - sent
    bufferevent_setwatermark(buffer, Int16(EV_WRITE), Limits.streamBufferBytesLow, 0)
    bufferevent_enable(buffer, Int16(EV_WRITE))
    if deadline == nil { setDeadline(seconds: listener.limits.stallTimeoutSeconds) }
    countUnsent()
    listener.boundBuffered()
  }

  /// Brings the listener's sum up to date with what waits here to be sent.
  func countUnsent() {
    let now = isOpen && !closing ? backlog : 0
    listener.bufferedBytes += now - countedUnsent
    countedUnsent = now
  }

  private func written() {
    countUnsent()
    if backlog == 0 {
      bufferevent_disable(buffer, Int16(EV_WRITE))
      listener.deadlines.clear(deadline)
      deadline = nil
    }
    exchange?.owner?.roomToSend()
  }

  // What the kernel says of a peer that has fallen silent.
  private static let silences = [ETIMEDOUT, EHOSTUNREACH, ENETUNREACH]

  private func happened(_ what: Int16) {
    // Read before anything else is called; an event that is no error leaves an old one there.
    let code = errno
    let isSilence = Int32(what) & BEV_EVENT_ERROR != 0 && Self.silences.contains(code)
    if closeReason == nil { closeReason = isSilence ? .stalled : .client }
    // evhttp frees the connection in here, which calls `closed`.
    listener.callbacks.event?(buffer, what, UnsafeMutableRawPointer(evcon))
  }

  // MARK: Deadlines and the end

  private func setDeadline(seconds: Int) {
    listener.deadlines.clear(deadline)
    sentAtDeadline = queuedBytes - backlog
    deadline = listener.deadlines.set(after: Int64(seconds) * Clock.second, now: listener.now, self)
  }

  package func deadlinePassed(_ tag: UInt8) {
    deadline = nil
    let sent = queuedBytes - backlog
    if backlog > 0, sent > sentAtDeadline {
      setDeadline(seconds: listener.limits.stallTimeoutSeconds)
    } else {
      close(backlog > 0 ? .stalled : .timeout)
    }
  }

  /// Closes the connection at the end of the tick.
  package func close(_ reason: CloseReason) {
    guard isOpen, !closing else { return }
    closing = true
    if closeReason == nil { closeReason = reason }
    countUnsent()
    countReceived()
    listener.closeSoon(self)
  }

  /// Frees the connection; for the listener, at the end of a tick.
  func free() {
    if isOpen { evhttp_connection_free(evcon) }
  }

  private func closed() {
    isOpen = false
    gate.detach()
    if let watch { event_free(watch) }
    watch = nil
    countUnsent()
    countReceived()
    listener.deadlines.clear(deadline)
    deadline = nil
    if closeReason == nil, exchange == nil, isStillSent { listener.linger(buffer) }
    listener.forget(self)
    if let exchange {
      self.exchange = nil
      exchange.connectionClosed(closeReason ?? .client)
    }
  }

  /// True when the client is, or may be, in the middle of a request that has been refused.
  private var isStillSent: Bool {
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
    return count > 0 || (count < 0 && errno == EAGAIN && !endedCleanly)
  }
}
