import DockrionCore
import DockrionProgram
import Foundation

/// Follows a run's events on a server until the run is over, across as many connections as that takes.
struct RunFollower {
  /// How a run ended, as far as a client's exit code goes.
  enum Ending { case completed, failed }

  private enum Attempt {
    case ended(Ending)
    /// The server ended the subscription in order; the next one follows at once.
    case again
    case broken(String)
  }

  let server: ServerOptions
  let runID: String
  /// The first sequence that is wanted; nil for all.
  let from: Int?
  /// Seconds that reconnects are tried without success.
  let retrySeconds: Int
  let printer: EventPrinter

  private var parser = ServerSentEventParser()
  private var backoff = Backoff()
  private var hasConnected = false
  /// Since when there has been no connection.
  private var lostAt: Date?

  /// A subscription with less than this much traffic is dead: servers send a heartbeat every 300 s at least.
  private static let idleSeconds = 330.0

  init(
    _ server: ServerOptions, runID: String, from: Int? = nil, retrySeconds: Int, printer: EventPrinter
  ) {
    self.server = server
    self.runID = runID
    self.from = from
    self.retrySeconds = retrySeconds
    self.printer = printer
  }

  /// Prints every event, and at the end the output.
  ///
  /// - Throws: `CommandError` when the server refuses, or cannot be reached for `retrySeconds`.
  mutating func follow() throws -> Ending {
    while true {
      switch try attempt() {
      case .ended(let ending): return ending
      case .again: continue
      case .broken(let problem):
        let since = lostAt ?? Date()
        lostAt = since
        guard Date().timeIntervalSince(since) < Double(retrySeconds) else {
          throw CommandError("\(problem); no connection for \(retrySeconds) s, giving up")
        }
        let delay = backoff.next(retryMilliseconds: parser.retryMilliseconds)
        printer.finish()
        Report.note("connection lost: \(problem); next try in \(Double(delay) / 1000) s")
        Thread.sleep(forTimeInterval: Double(delay) / 1000)
      }
    }
  }

  private mutating func attempt() throws -> Attempt {
    var request = try server.request(
      "GET", "/runs/\(runID)/events", query: [("from_sequence", from.map(String.init))],
      idleSeconds: Self.idleSeconds)
    request.fields.append(("Accept", "text/event-stream"))
    if !parser.lastEventID.isEmpty { request.fields.append(("Last-Event-ID", parser.lastEventID)) }
    parser.reconnect()
    do {
      let exchange = try HTTPExchange(request)
      let status = try exchange.head().status
      switch status {
      case 200:
        hasConnected = true
        lostAt = nil
        return try read(exchange)
      case 204: return .ended(try endingOfFinishedRun())
      default:
        let problem = try HTTPReply(exchange).problem
        // These pass; everything else would be refused again.
        if hasConnected, [429, 502, 503, 504].contains(status) { return .broken(problem) }
        throw CommandError(problem)
      }
    } catch let problem as ConnectionProblem {
      if !hasConnected { throw problem.explained(request) }
      return .broken(problem.description)
    }
  }

  private mutating func read(_ exchange: HTTPExchange) throws -> Attempt {
    while let bytes = try exchange.bytes() {
      for event in parser.feed(bytes) {
        backoff.reset()
        printer.print(event)
        switch event.type {
        case "complete":
          printer.finish()
          try printer.printOutput(of: event)
          return .ended(.completed)
        case "error", "cancelled":
          printer.finish()
          return .ended(.failed)
        case "timeout": return .again
        default: break
        }
      }
    }
    return .broken("the server ended the stream before the run was over")
  }

  /// Nothing is left to be sent: the run itself tells how it ended.
  private func endingOfFinishedRun() throws -> Ending {
    let request = try server.request("GET", "/runs/\(runID)", idleSeconds: 30)
    let reply: HTTPReply
    do { reply = try server.send(request) } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
    try reply.expect(200)
    let status = try reply.object()["status"]?.string ?? "unknown"
    Report.note("the run is over, and no event is left to be sent: \(Terminal.harmless(status))")
    return status == "completed" ? .completed : .failed
  }
}

/// How long to wait before the next connection: what the server's `retry:` says, doubled each time, to a bound.
struct Backoff {
  static let maximumMilliseconds = 30_000
  /// Where the server has not said `retry:`.
  static let defaultMilliseconds = 1000

  private var failures = 0

  mutating func next(retryMilliseconds: Int?) -> Int {
    let first = min(retryMilliseconds ?? Self.defaultMilliseconds, Self.maximumMilliseconds)
    let delay = min(max(first, 1) << min(failures, 20), Self.maximumMilliseconds)
    failures += 1
    return delay
  }

  mutating func reset() { failures = 0 }
}
