import DockrionCore
import DockrionLoop
import Logging

/// What the log and the access log say of requests.
final class RequestLog {
  /// The label of each route in the metrics.
  let routes: [String]
  let clients: ClientAddresses
  private let failures: FailureLog
  private let access: AccessLog?
  private let deadlines: Deadlines

  init(
    routes: [String], _ clients: ClientAddresses, _ failures: FailureLog, _ access: AccessLog?,
    _ deadlines: Deadlines
  ) {
    self.routes = routes
    self.clients = clients
    self.failures = failures
    self.access = access
    self.deadlines = deadlines
  }

  /// Logs a reply that says why not, where it is one that an operator wants to hear of.
  func refused(_ error: ErrorReply, _ exchange: Exchange) {
    guard !error.isLogged else { return }
    var route: String { routes[exchange.route] }
    switch error.status {
    case 500...:
      var metadata = ids(exchange)
      metadata["status"] = "\(error.status)"
      failures.failed(error.message, code: error.code, route: route, metadata)
    case 401, 403, 429:
      failures.refused(error.message, code: error.code, route: route, now: deadlines.now) {
        var metadata = ids(exchange)
        metadata["status"] = "\(error.status)"
        metadata["client"] = "\(clients.client(of: exchange))"
        return metadata
      }
    default: break
    }
  }

  /// Logs that a connection is closed whose client sends on and on behind a request that is being answered.
  func flooded(_ exchange: Exchange) {
    let message =
      "more than \(Limits.pipelinedBytesMax) bytes wait behind a request that is being answered; the connection is closed"
    failures.refused(message, code: "PIPELINED", route: routes[exchange.route], now: deadlines.now) {
      var metadata = ids(exchange)
      metadata["client"] = "\(clients.client(of: exchange))"
      return metadata
    }
  }

  private func ids(_ exchange: Exchange) -> Logger.Metadata {
    var metadata: Logger.Metadata = [:]
    if let id = requestID(of: exchange) { metadata["request_id"] = "\(id)" }
    if let id = exchange.identity?.runID { metadata["run_id"] = "\(id)" }
    return metadata
  }

  /// The request's id: the stream's, or the client's own.
  private func requestID(of exchange: Exchange) -> String? {
    if case .request(let id) = exchange.identity { return id }
    return exchange.header("X-Request-Id").flatMap { $0.isClientID ? $0 : nil }
  }

  /// Writes a request that is over to the access log.
  func ended(_ exchange: Exchange) {
    let end = Clock.monotonicNanoseconds()
    let asked = exchange.asked
    access?.add(
      AccessLog.Entry(
        method: asked.method, route: routes[exchange.route], path: asked.path,
        status: exchange.status == 0 ? 499 : exchange.status, bytes: exchange.sentBytes,
        nanoseconds: end - exchange.startedAt, requestID: requestID(of: exchange),
        runID: exchange.identity?.runID, client: clients.client(of: exchange),
        userAgent: exchange.userAgent ?? exchange.header("User-Agent")),
      now: end)
  }
}
