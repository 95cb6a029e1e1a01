import DockrionCore
import DockrionLoop

/// Sends replies in one piece, and counts and logs each.
final class Replies {
  /// For the bodies of replies; filled and sent within one call.
  let body = Scratch()
  /// Headers that go with any reply to a request.
  let headers: (Exchange) -> [(String, String)]
  let log: RequestLog
  private let metrics: Metrics

  init(_ metrics: Metrics, _ log: RequestLog, headers: @escaping (Exchange) -> [(String, String)]) {
    self.metrics = metrics
    self.log = log
    self.headers = headers
  }

  func send(
    _ exchange: Exchange, _ status: Int, headers more: [(String, String)] = [], body: UnsafeRawBufferPointer,
    contentType: String? = "application/json"
  ) {
    guard exchange.isOpen else { return }
    let method = exchange.method
    exchange.reply(status, more + headers(exchange), body: body, contentType: contentType)
    metrics.request(
      route: exchange.route, agent: exchange.agent, method: method, status: status,
      nanoseconds: Clock.monotonicNanoseconds() - exchange.startedAt)
  }

  /// Sends a reply that has no body.
  func send(_ exchange: Exchange, _ status: Int, headers more: [(String, String)] = []) {
    send(
      exchange, status, headers: more, body: UnsafeRawBufferPointer(start: nil, count: 0), contentType: nil)
  }

  /// Sends what `write` puts into the body.
  func send(
    _ exchange: Exchange, _ status: Int, headers more: [(String, String)] = [],
    contentType: String = "application/json", write: (inout ByteWriter) -> Void
  ) {
    body.writer.reuse()
    write(&body.writer)
    send(exchange, status, headers: more, body: body.writer.bytes, contentType: contentType)
  }

  func send(_ exchange: Exchange, _ error: ErrorReply) {
    if error.closes { exchange.closeAfterReply() }
    log.refused(error, exchange)
    send(exchange, error.status, headers: error.headers) { out in
      out.append("{\"success\":false,\"error\":")
      out.append(json: error.message)
      out.append(",\"code\":")
      out.append(json: error.code)
      if let details = error.details {
        out.append(",\"details\":")
        out.append(details)
      }
      out.append("}")
    }
  }
}
