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
  private let farewell: Farewell

  private var parser = ServerSentEventParser()
  private var pace = ReconnectPace()
  private var hasConnected = false
  /// The sequence of the last event that was printed.
  private var last: Int?
  /// True when the connection brought an event; true when it brought one that was not there before.
  private var (hasHeard, hasLearned) = (false, false)
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
    farewell = Farewell(runID: runID, from: from, url: server.url, agent: server.agent)
  }

  /// Prints every event, and at the end the output.
  ///
  /// - Throws: `CommandError` when the server refuses, or cannot be reached for `retrySeconds`.
  mutating func follow() throws -> Ending {
    defer { printer.finish() }
    while true {
      pace.begin()
      (hasHeard, hasLearned) = (false, false)
      let result = try attempt()
      if hasHeard { lostAt = nil }
      switch result {
      case .ended(let ending): return ending
      case .again:
        Thread.sleep(forTimeInterval: Double(pace.next(hasLearned: hasLearned)) / 1000)
      case .broken(let problem):
        let since = lostAt ?? Date()
        lostAt = since
        guard Date().timeIntervalSince(since) < Double(retrySeconds) else {
          throw CommandError("\(problem); no connection for \(retrySeconds) s, giving up")
        }
        let delay = pace.next(hasLearned: hasLearned, retryMilliseconds: parser.retryMilliseconds ?? 1000)
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
    if let last { request.fields.append(("Last-Event-ID", "\(last)")) }
    parser.reconnect()
    do {
      let exchange = try HTTPExchange(request)
      let status = try exchange.head().status
      switch status {
      case 200:
        try exchange.head().expectStream()
        hasConnected = true
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
      for event in try events(bytes) {
        hasHeard = true
        if let id = event.id.flatMap({ Int($0) }), id >= 0 {
          if id > last ?? -1 { hasLearned = true }
          last = id
        }
        try event.expectObject()
        printer.print(event)
        farewell.shown(event.id)
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

  private mutating func events(_ bytes: [UInt8]) throws -> [ServerSentEvent] {
    do { return try parser.feed(bytes) } catch {
      printer.finish()
      throw CommandError("\(error)")
    }
  }

  /// Nothing is left to be sent: the run itself tells how it ended.
  private func endingOfFinishedRun() throws -> Ending {
    let request = try server.request("GET", "/runs/\(runID)", idleSeconds: 30)
    let reply: HTTPReply
    do { reply = try server.send(request) } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
    try reply.expect(200)
    let run = try reply.object()
    let status = run["status"]?.string ?? "unknown"
    var sentence = "the run is over, and no event is left to be sent: \(Terminal.harmless(status))"
    if let error = run["error"]?.object, let message = error["message"]?.string {
      sentence += ", " + HTTPReply.sentence(error["code"], message, error["details"])
    }
    Report.note(sentence)
    return status == "completed" ? .completed : .failed
  }
}
