import DockrionCore
import DockrionLoop
import Logging

// What the log and the access log say of requests and agents.
extension Server {
  /// Logs a reply that says why not, where it is one that an operator wants to hear of.
  func log(_ error: ErrorReply, _ exchange: Exchange) {
    guard !error.isLogged else { return }
    var route: String { router.metricNames[exchange.route] }
    switch error.status {
    case 500...:
      var metadata = ids(exchange)
      metadata["status"] = "\(error.status)"
      failures.failed(error.message, code: error.code, route: route, metadata)
    case 401, 403, 429:
      failures.refused(error.message, code: error.code, route: route, now: now) {
        var metadata = ids(exchange)
        metadata["status"] = "\(error.status)"
        metadata["client"] = "\(client(exchange))"
        return metadata
      }
    default: break
    }
  }

  /// Logs that a connection is closed whose client sends on and on behind a request that is being answered.
  func flooded(_ exchange: Exchange) {
    let message =
      "more than \(Limits.pipelinedBytesMax) bytes wait behind a request that is being answered; the connection is closed"
    failures.refused(message, code: "PIPELINED", route: router.metricNames[exchange.route], now: now) {
      var metadata = ids(exchange)
      metadata["client"] = "\(client(exchange))"
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

  /// Logs what an agent has ended with.
  func logFailure(of invocation: Invocation, _ error: AgentError) {
    let identity = invocation.execution.encoder.identity
    let text = error.hidden ?? error.message
    let route = route(of: identity, hasEvents: invocation.execution.hasEvents)
    if invocation.sink == nil {
      failures.failedLate(text, code: error.code, route: route, now: now) { Self.metadata(identity) }
    } else {
      metrics.agentFailed(error.code)
      failures.failed("the agent failed: \(text)", code: error.code, route: route, Self.metadata(identity))
    }
  }

  /// Logs that the server itself has ended an agent's run.
  func logFailure(of identity: EventEncoder.Identity, _ error: AgentError) {
    metrics.agentFailed(error.code)
    failures.failed(
      error.message, code: error.code, route: route(of: identity, hasEvents: true), Self.metadata(identity))
  }

  private func route(of identity: EventEncoder.Identity, hasEvents: Bool) -> String {
    if identity.runID != nil { return "/runs" }
    return hasEvents ? "/invoke/stream" : "/invoke"
  }

  private static func metadata(_ identity: EventEncoder.Identity) -> Logger.Metadata {
    identity.runID == nil ? ["request_id": "\(identity.id)"] : ["run_id": "\(identity.id)"]
  }

  /// Writes a request that is over to the access log.
  func ended(_ exchange: Exchange) {
    let end = Clock.monotonicNanoseconds()
    let asked = exchange.asked
    accessLog?.add(
      AccessLog.Entry(
        method: asked.method, route: router.metricNames[exchange.route], path: asked.path,
        status: exchange.status == 0 ? 499 : exchange.status, bytes: exchange.sentBytes,
        nanoseconds: end - exchange.startedAt, requestID: requestID(of: exchange),
        runID: exchange.identity?.runID, client: client(exchange),
        userAgent: exchange.userAgent ?? exchange.header("User-Agent")),
      now: end)
  }
}

extension EventEncoder.Identity {
  fileprivate var runID: String? {
    if case .run(let id) = self { return id }
    return nil
  }
}
