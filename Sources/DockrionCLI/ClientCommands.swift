import ArgumentParser
import DockrionCore
import DockrionProgram
import Foundation

struct TailCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tail",
    abstract: "Follows the events of a run on a server.",
    discussion: """
      A lost connection is made again and goes on behind the last event. The exit code is 0 when the run \
      completed and 1 when it failed or was cancelled. Ctrl-C ends the following, not the run, and says how to come \
      back.

      Example: dockrion tail run-456 --from 10
      """)

  @Argument(help: "The run's id.")
  var runID: RunID

  @OptionGroup var server: ServerOptions

  @Option(help: "The sequence of the first event, 0 or more. (default: the first that is kept)")
  var from: Int?

  @Option(help: "text; jsonl, an event's JSON a line; or sse, as the server sends it.")
  var format = EventFormat.text

  @Option(help: "Seconds without a connection after which it gives up, 0…86400.")
  var retryFor = 300

  func validate() throws {
    try OptionCheck.check(from, in: 0...Int.max, option: "--from", unit: "")
    try OptionCheck.check(retryFor, in: 0...86_400, option: "--retry-for")
  }

  func run() throws {
    var follower = RunFollower(
      server, runID: runID.text, from: from, retrySeconds: retryFor, printer: EventPrinter(format))
    if try follower.follow() == .failed { throw ExitCode(Exit.failure) }
  }
}

struct InvokeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "invoke",
    abstract: "Calls the agent of a running server.",
    discussion: """
      Without --stream and --run it prints the output in one piece. --stream prints events as they come, over \
      /invoke/stream; --run starts a managed run, whose id goes to standard error, and follows it as tail does.

      Example: dockrion invoke -p '{"text":"Hello, world!"}' --stream
      """)

  @OptionGroup var server: ServerOptions
  @OptionGroup var payload: PayloadOptions

  @Flag(help: "Prints the events as they come; they cannot be resumed.")
  var stream = false

  @Flag(name: .customLong("run"), help: "Starts a managed run and follows it.")
  var isManaged = false

  @Option(help: "With --run: the id of the run. (default: the server makes one)")
  var runID: RunID?

  @Option(help: "With --stream or --run: text, jsonl or sse.")
  var format = EventFormat.text

  func validate() throws {
    if stream, isManaged { throw ValidationError("--stream and --run: one of them is enough") }
    if runID != nil, !isManaged { throw ValidationError("--run-id: it needs --run, whose id it is") }
  }

  func run() throws {
    let text = try payload.read().text
    if isManaged { return try startAndFollow(text) }
    let request = try server.post(stream ? "/invoke/stream" : "/invoke", text)
    do {
      try stream ? printEvents(HTTPExchange(request)) : printOutput(server.send(request))
    } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
  }

  private func printOutput(_ reply: HTTPReply) throws {
    try reply.expect(200)
    guard let output = try reply.object()["output"] else {
      throw CommandError("the reply has no output: is this a Dockrion server?")
    }
    Output.line(try JSONText.line(output))
  }

  private func printEvents(_ exchange: HTTPExchange) throws {
    guard try exchange.head().status == 200 else { throw CommandError(try HTTPReply(exchange).problem) }
    try exchange.head().expectStream()
    let printer = EventPrinter(format)
    defer { printer.finish() }
    var parser = ServerSentEventParser()
    do {
      while let bytes = try exchange.bytes() {
        for event in try parser.feed(bytes) {
          try event.expectObject()
          printer.print(event)
          guard ["complete", "error", "cancelled"].contains(event.type) else { continue }
          printer.finish()
          if event.type != "complete" { throw ExitCode(Exit.failure) }
          return try printer.printOutput(of: event)
        }
      }
    } catch let problem as ConnectionProblem {
      throw CommandError("the connection broke before the agent had ended: \(problem)")
    } catch let problem as StreamTooLarge {
      throw CommandError("\(problem)")
    }
    throw CommandError("the server ended the stream before the agent had ended")
  }

  private func startAndFollow(_ text: String) throws {
    let request = try server.post("/runs", text, query: [("run_id", runID?.text)])
    let reply: HTTPReply
    do { reply = try server.send(request) } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
    try reply.expect(202)
    guard let id = try reply.object()["run_id"]?.string, RunID(argument: id) != nil else {
      throw CommandError("the reply has no run_id: is this a Dockrion server?")
    }
    Report.note("run \(id)")
    var follower = RunFollower(server, runID: id, retrySeconds: 300, printer: EventPrinter(format))
    if try follower.follow() == .failed { throw ExitCode(Exit.failure) }
  }
}

struct CancelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cancel",
    abstract: "Cancels a run on a server.",
    discussion: "Example: dockrion cancel run-456 --reason 'took too long'")

  @Argument(help: "The run's id.")
  var runID: RunID

  @OptionGroup var server: ServerOptions

  @Option(help: "What the run's cancelled event says.")
  var reason: String?

  func run() throws {
    let request = try server.request(
      "DELETE", "/runs/\(runID.text)", query: [("reason", reason)], idleSeconds: 30)
    let reply: HTTPReply
    do { reply = try server.send(request) } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
    try reply.expect(200)
    guard try reply.object()["status"]?.string == "cancelled" else {
      throw CommandError("the reply does not say that the run is cancelled: is this a Dockrion server?")
    }
    Output.line("run \(runID.text) is cancelled")
  }
}

/// A run's id, in the form that servers take.
struct RunID: ExpressibleByArgument {
  let text: String

  init?(argument: String) {
    guard argument.wholeMatch(of: /[A-Za-z0-9][A-Za-z0-9_-]{0,127}/) != nil else { return nil }
    text = argument
  }
}
