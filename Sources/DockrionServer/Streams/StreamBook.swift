import DockrionCore
import DockrionLoop
import Logging

/// Every event stream that is open, and what all of them share.
///
/// The one place that counts streams: opened, closed, and why.
final class StreamBook {
  let deadlines: Deadlines
  let metrics: Metrics
  /// Seconds of silence before a heartbeat.
  let heartbeatSeconds: Int
  /// For what a stream sends: the events, and their frame with the head in front. Used and emptied within one call.
  let chunk = Scratch()
  let frame = Scratch()
  /// Headers that go with any reply to a request.
  let headers: (Exchange) -> [(String, String)]
  /// Streams of Pattern A that are open now.
  private(set) var directStreams = 0
  /// Streams of Pattern B that are open now.
  private(set) var subscriptions = 0
  private let log: RequestLog
  private let logger: Logger
  private let stallSeconds: Int
  // Streams that began in this tick and in the one before.
  private var newStreams: [EventStream] = []
  private var streamsToHead: [EventStream] = []

  /// - Parameters:
  ///   - heartbeatSeconds: seconds of silence before a heartbeat.
  ///   - stallSeconds: seconds that a client may take nothing, for the log.
  init(
    _ deadlines: Deadlines, _ metrics: Metrics, _ log: RequestLog, _ logger: Logger, heartbeatSeconds: Int,
    stallSeconds: Int, headers: @escaping (Exchange) -> [(String, String)]
  ) {
    self.deadlines = deadlines
    self.metrics = metrics
    self.log = log
    self.logger = logger
    self.heartbeatSeconds = heartbeatSeconds
    self.stallSeconds = stallSeconds
    self.headers = headers
  }

  /// True while no stream is open.
  var isEmpty: Bool { directStreams == 0 && subscriptions == 0 }

  func opened(_ pattern: EventStream.Pattern, _ exchange: Exchange) {
    log.clients.keep(exchange)
    if pattern == .direct { directStreams += 1 } else { subscriptions += 1 }
  }

  func closed(_ pattern: EventStream.Pattern, _ reason: CloseReason, _ exchange: Exchange) {
    if pattern == .direct { directStreams -= 1 } else { subscriptions -= 1 }
    metrics.streamClosed(reason)
    metrics.request(
      route: exchange.route, agent: exchange.agent, method: pattern == .direct ? .post : .get, status: 200,
      nanoseconds: Clock.monotonicNanoseconds() - exchange.startedAt)
    guard reason == .stalled || logger.logLevel <= .debug else { return }
    logger.log(
      level: reason == .stalled ? .notice : .debug,
      reason == .stalled
        ? "closed a stream: the client took nothing for \(stallSeconds) s" : "a stream has ended",
      metadata: [
        "reason": "\(reason.rawValue)", "route": "\(log.routes[exchange.route])",
        "client": "\(log.clients.client(of: exchange))",
      ])
  }

  // MARK: Heads

  /// Sends the stream's head at the end of the next tick, unless the agent's first event takes it along: a packet
  /// of its own costs more than the event does.
  func sendHeadSoon(_ stream: EventStream) { newStreams.append(stream) }

  var hasHeadsToSend: Bool { !streamsToHead.isEmpty || !newStreams.isEmpty }

  func sendHeads() {
    for stream in streamsToHead { stream.sendHead() }
    streamsToHead.removeAll(keepingCapacity: true)
    swap(&streamsToHead, &newStreams)
  }

  /// Sends the heads that are left.
  func sendAllHeads() { for _ in 0..<2 { sendHeads() } }
}
