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
final class Connection: DeadlineTarget {
  unowned let listener: HTTPListener
  private let evcon: OpaquePointer
  private let buffer: OpaquePointer
  private let descriptor: Int32
  private var deadline: DeadlineQueues.Token?
  private var queuedBytes = 0
  private var sentAtDeadline = 0
  private var closing = false

  /// The request that is being answered.
  private(set) var exchange: Exchange?
  /// Why the connection is being closed, once something knows.
  private(set) var closeReason: CloseReason?
  private(set) var isOpen = true

  init(_ evcon: OpaquePointer, _ buffer: OpaquePointer, _ listener: HTTPListener) {
    self.evcon = evcon
    self.buffer = buffer
    self.listener = listener
    descriptor = bufferevent_getfd(buffer)
    evhttp_connection_set_closecb(
      evcon, { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().closed() },
      Unmanaged.passUnretained(self).toOpaque())
    setDeadline(seconds: listener.limits.requestTimeoutSeconds)
  }

  /// The peer's IP address; it says nothing on a Unix socket.
  var peerAddress: String {
    var (text, port): (UnsafeMutablePointer<CChar>?, UInt16) = (nil, 0)
    evhttp_connection_get_peer(evcon, &text, &port)
    return text.map { String(cString: $0) } ?? ""
  }

  // MARK: Requests

  /// A whole request has been read.
  func begin(_ request: RequestPointer) {
    listener.deadlines.clear(deadline)
    deadline = nil
    bufferevent_setcb(
      buffer, { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().pipelined() },
      { _, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().written() },
      { _, what, me in Unmanaged<Connection>.fromOpaque(me!).takeUnretainedValue().happened(what) },
      Unmanaged.passUnretained(self).toOpaque())
    bufferevent_enable(buffer, Int16(EV_READ))
    let exchange = Exchange(self, request)
    self.exchange = exchange
    listener.handle(exchange)
  }

  /// Called when an exchange has written its last byte.
  func end(_ request: RequestPointer, closing: Bool) {
    exchange = nil
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
    setDeadline(seconds: listener.limits.keepAliveSeconds)
    evhttp_send_reply_end(request)
  }

  private func pipelined() {
    // The bytes wait for evhttp. Not to read them would mean not to notice when the client goes away.
    if evbuffer_get_length(bufferevent_get_input(buffer)) > Limits.pipelinedBytesMax { close(.client) }
  }

  // MARK: Bytes out

  /// Bytes that the socket has not taken yet.
  var backlog: Int { evbuffer_get_length(bufferevent_get_output(buffer)) }

  /// Sends bytes, keeping what the socket does not take.
  func send(_ bytes: UnsafeRawBufferPointer) {
    guard isOpen, !closing, let base = bytes.baseAddress else { return }
    listener.sentBytes += bytes.count
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
  }

  private func written() {
    if backlog == 0 {
      bufferevent_disable(buffer, Int16(EV_WRITE))
      listener.deadlines.clear(deadline)
      deadline = nil
    }
    exchange?.owner?.roomToSend()
  }

  private func happened(_ what: Int16) {
    if closeReason == nil { closeReason = errno == ETIMEDOUT ? .stalled : .client }
    // evhttp frees the connection in here, which calls `closed`.
    listener.callbacks.event?(buffer, what, UnsafeMutableRawPointer(evcon))
  }

  // MARK: Deadlines and the end

  private func setDeadline(seconds: Int) {
    listener.deadlines.clear(deadline)
    sentAtDeadline = queuedBytes - backlog
    deadline = listener.deadlines.set(after: Int64(seconds) * 1_000_000_000, now: listener.now(), self)
  }

  func deadlinePassed(_ tag: UInt8) {
    deadline = nil
    let sent = queuedBytes - backlog
    if backlog > 0, sent > sentAtDeadline {
      setDeadline(seconds: listener.limits.stallTimeoutSeconds)
    } else {
      close(backlog > 0 ? .stalled : .timeout)
    }
  }

  /// Closes the connection at the end of the tick.
  func close(_ reason: CloseReason) {
    guard isOpen, !closing else { return }
    closing = true
    if closeReason == nil { closeReason = reason }
    listener.closeSoon(self)
  }

  /// Frees the connection; for the listener, at the end of a tick.
  func free() {
    if isOpen { evhttp_connection_free(evcon) }
  }

  private func closed() {
    isOpen = false
    listener.deadlines.clear(deadline)
    deadline = nil
    listener.forget(evcon)
    if let exchange {
      self.exchange = nil
      exchange.connectionClosed(closeReason ?? .client)
    }
  }
}
