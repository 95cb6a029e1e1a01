import CLibevent
import DockrionCore
import Glibc

/// What an exchange tells the one who answers it.
package protocol ExchangeOwner: AnyObject {
  /// The client is gone, or was closed; nothing more can be sent.
  func connectionClosed(_ reason: CloseReason)
  /// Bytes that had to wait are on their way.
  func roomToSend()
}

/// One request and its reply.
///
/// It is answered once: with `reply`, or with `startStream`, `send` and `endStream`. An exchange that is dropped
/// unanswered stays open, so every handler answers or hands it on.
package final class Exchange {
  package let connection: Connection
  /// When the request had been read, on the listener's clock.
  package let startedAt: Int64
  /// The route's number for the metrics …
  package var route = 0
  /// … and the agent's; negative where it is about none.
  package var agent = -1
  /// Who wants to hear of the client while the reply is outstanding.
  package var owner: (any ExchangeOwner)?
  /// Why it can only be refused, and its connection closed: it is no request as HTTP has them.
  package var refusal: FramingRefusal?
  /// What a refused request asked for, where evhttp was given something else.
  package var refusedHead: RefusedHead?
  /// `X-Forwarded-For`, kept for the log where some proxies are trusted.
  package var forwardedFor: String?
  /// Whom it is about, once that is known.
  package var identity: EventEncoder.Identity?
  /// The status that was sent; 0 before.
  package private(set) var status = 0
  /// `User-Agent`, kept where the headers are dropped before the end and somebody wants to know.
  package private(set) var userAgent: String?
  private var request: RequestPointer?
  private var mustClose = false
  private var isUnread = false
  private let repliedBefore: Int

  init(_ connection: Connection, _ request: RequestPointer) {
    self.connection = connection
    self.request = request
    startedAt = connection.listener.now
    repliedBefore = connection.repliedBytes
  }

  /// Bytes of the reply that the socket has taken.
  package var sentBytes: Int { max(0, connection.repliedBytes - repliedBefore - connection.backlog) }

  // MARK: The request

  /// False once the client is gone or the reply has ended.
  package var isOpen: Bool { request != nil }

  package var method: HTTPMethod { HTTPMethod(request?.pointee.type ?? EVHTTP_REQ_GET) }

  /// The method and the path for the access log: as they were sent, and `-` for what cannot be read.
  package var asked: (method: String, path: String) {
    if let refusedHead { return (refusedHead.method ?? "-", refusedHead.path ?? "-") }
    return (request.map { HTTPMethod.name($0.pointee.type) } ?? "-", path)
  }

  /// The target, taken apart by libevent.
  var uri: OpaquePointer? { request?.pointee.uri_elems }

  /// The path, percent-encoded as it was sent.
  package var path: String {
    guard let elements = uri, let path = evhttp_uri_get_path(elements) else {
      return ""
    }
    return String(cString: path)
  }

  /// The query without its question mark, percent-encoded.
  package var query: String? {
    guard let elements = uri, let query = evhttp_uri_get_query(elements) else {
      return nil
    }
    return String(cString: query)
  }

  /// A header's value; of several, the first.
  package func header(_ name: StaticString) -> String? { rawHeader(name).map { String(cString: $0) } }

  /// How often a header comes.
  package enum HeaderCount {
    case none
    case one(String)
    case several
  }

  /// The header of a name that is not known before, of which there may be one.
  package func onlyHeader(named name: String) -> HeaderCount {
    let length = name.utf8.count
    var value: UnsafeMutablePointer<CChar>?
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      guard let key = current.pointee.key, strlen(key) == length, strcasecmp(key, name) == 0 else { continue }
      guard value == nil else { return .several }
      value = current.pointee.value
    }
    return value.map { .one(String(cString: $0)) } ?? .none
  }

  /// True when there is that header with exactly that value.
  package func hasHeader(_ name: StaticString, _ value: StaticString) -> Bool {
    rawHeader(name).map { strcmp($0, value.utf8Start) == 0 } ?? false
  }

  private func rawHeader(_ name: StaticString) -> UnsafeMutablePointer<CChar>? {
    rawHeader(UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self), name.utf8CodeUnitCount)
  }

  // Lengths first: `evhttp_find_header` folds the case of every name, letter by letter.
  private func rawHeader(_ name: UnsafePointer<CChar>, _ length: Int) -> UnsafeMutablePointer<CChar>? {
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      guard let key = current.pointee.key, strlen(key) == length, strcasecmp(key, name) == 0 else { continue }
      return current.pointee.value
    }
    return nil
  }

  /// The first of the request's headers, in libevent's list.
  var firstHeader: UnsafeMutablePointer<evkeyval>? { request?.pointee.input_headers.pointee.tqh_first }

  /// Looks at the body in one piece.
  package func withBody<T>(_ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
    guard let buffer = request?.pointee.input_buffer, evbuffer_get_length(buffer) > 0 else {
      return try body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    let count = evbuffer_get_length(buffer)
    return try body(UnsafeRawBufferPointer(start: evbuffer_pullup(buffer, -1), count: count))
  }

  /// Bytes of the body that are still held.
  package var bodyCount: Int { request?.pointee.input_buffer.map { evbuffer_get_length($0) } ?? 0 }

  /// Frees the body's memory, for exchanges that last.
  package func dropBody() {
    if let buffer = request?.pointee.input_buffer { evbuffer_drain(buffer, evbuffer_get_length(buffer)) }
    connection.countReceived()
    if connection.listener.onEnd != nil { userAgent = header("User-Agent") }
    if let headers = request?.pointee.input_headers, !wantsClose, isHTTP11 { evhttp_clear_headers(headers) }
  }

  /// Frees the body's memory where it is worth a call: an agent may think for long.
  package func dropLargeBody() {
    guard let buffer = request?.pointee.input_buffer else { return }
    let count = evbuffer_get_length(buffer)
    guard count > 4096 else { return }
    evbuffer_drain(buffer, count)
    connection.countReceived()
  }

  private var isHTTP11: Bool {
    guard let request else { return true }
    return request.pointee.major > 1 || (request.pointee.major == 1 && request.pointee.minor >= 1)
  }

  private var wantsClose: Bool { hasConnectionOption("close") }

  /// True when the client of HTTP/1.0 asked to keep the connection.
  private var asksToKeepAlive: Bool { hasConnectionOption("keep-alive") }

  /// Connection = #token, a list over all fields of that name (RFC 9110, 7.6.1 and 5.3).
  private func hasConnectionOption(_ option: StaticString) -> Bool {
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      guard let key = current.pointee.key, strlen(key) == 10, strcasecmp(key, "Connection") == 0,
        let value = current.pointee.value
      else { continue }
      let bytes = UnsafeRawBufferPointer(start: value, count: strlen(value))
      for element in bytes.split(separator: UInt8(ascii: ","))
      where Octets.equal(Octets.trimmed(UnsafeRawBufferPointer(rebasing: element)), option) { return true }
    }
    return false
  }

  /// evhttp looks at the first `Connection` field alone, and would close.
  private func keepAliveForParser() {
    guard let headers = request?.pointee.input_headers else { return }
    while evhttp_remove_header(headers, "Connection") == 0 {}
    evhttp_add_header(headers, "Connection", "keep-alive")
  }

  /// Closes the connection after the reply, since what follows the head cannot be trusted to be a request.
  package func closeAfterReply() {
    mustClose = true
    isUnread = true
  }

  // MARK: The reply

  /// Sends a whole reply. A `HEAD` request gets the head alone.
  package func reply(
    _ status: Int, _ headers: [(String, String)], body: UnsafeRawBufferPointer, contentType: String?
  ) {
    guard let request else { return }
    let listener = connection.listener
    listener.output.reuse()
    writeStatus(status, to: &listener.output)
    write(headers, to: &listener.output)
    writeConnection(to: &listener.output, streaming: false)
    if let contentType {
      listener.output.append("Content-Type: ")
      listener.output.append(contentType)
      listener.output.append("\r\n")
    }
    if status != 204 {
      listener.output.append("Content-Length: ")
      listener.output.append(decimal: body.count)
      listener.output.append("\r\n")
    }
    listener.output.append("\r\n")
    if request.pointee.type != EVHTTP_REQ_HEAD, status != 204 { listener.output.append(body) }
    connection.send(listener.output.bytes)
    finish()
  }

  /// True when the stream's body is chunked; an HTTP/1.0 client reads to the end of the connection.
  package private(set) var isChunked = false

  /// Puts the head of a stream into `head`; whoever asks sends it.
  package func startStream(_ headers: [(String, String)], requestID: String?, head: inout ByteWriter) {
    isChunked = isHTTP11
    if !isHTTP11 { mustClose = true }
    writeStatus(200, to: &head)
    head.append(
      "Content-Type: text/event-stream\r\nCache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n")
    if let requestID {
      head.append("X-Request-Id: ")
      head.append(requestID)
      head.append("\r\n")
    }
    write(headers, to: &head)
    writeConnection(to: &head, streaming: true)
    if isChunked { head.append("Transfer-Encoding: chunked\r\n") }
    head.append("\r\n")
  }

  /// True for a `HEAD` request, whose stream has no body.
  package var isHead: Bool { request?.pointee.type == EVHTTP_REQ_HEAD }

  private func writeStatus(_ status: Int, to out: inout ByteWriter) {
    self.status = status
    out.append("HTTP/1.1 ")
    out.append(decimal: status)
    out.append(UInt8(ascii: " "))
    out.append(HTTPStatus.phrase(status))
    out.append("\r\n")
    out.append(connection.listener.dateLine)
  }

  private func write(_ headers: [(String, String)], to out: inout ByteWriter) {
    for (name, value) in headers {
      out.append(name)
      out.append(": ")
      out.append(value)
      out.append("\r\n")
    }
  }

  private func writeConnection(to out: inout ByteWriter, streaming: Bool) {
    if mustClose || wantsClose || (!isHTTP11 && !asksToKeepAlive) {
      mustClose = true
      out.append("Connection: close\r\n")
    } else if streaming || !isHTTP11 {
      if !isHTTP11 { keepAliveForParser() }
      out.append("Connection: keep-alive\r\n")
    }
  }

  /// Says that the reply is complete; the listener tells evhttp at the end of the tick.
  package func finish() {
    guard isOpen else { return }
    connection.listener.finishSoon(self)
  }

  /// Hands the request back to evhttp; for the listener, at the end of a tick.
  func handBack() {
    guard let request else { return }
    connection.listener.onEnd?(self)
    self.request = nil
    owner = nil
    connection.end(request, closing: mustClose, unread: isUnread)
  }

  /// The connection is gone: evhttp has left the request to us unless it is still attached.
  func connectionClosed(_ reason: CloseReason) {
    guard let request else { return }
    connection.listener.onEnd?(self)
    self.request = nil
    if evhttp_request_get_connection(request) == nil { connection.listener.freeSoon(request) }
    let told = owner
    owner = nil
    told?.connectionClosed(reason)
  }
}
