import ArgumentParser
import DockrionCore
import DockrionProgram
import Foundation

struct RunsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runs",
    abstract: "Lists the runs on a server, newest first.",
    discussion: "Example: dockrion runs --status running")

  @OptionGroup var server: ServerOptions

  @Option(help: "accepted, running, completed, failed or cancelled. (default: all)")
  var status: RunStatus?

  @Option(help: "How many at most, 1…500.")
  var limit = 50

  @Option(help: "Where to go on: what an earlier list ended with.")
  var cursor: String?

  @Option(help: "text or json, which is the server's own reply.")
  var format = ReportFormat.text

  func validate() throws {
    try OptionCheck.check(limit, in: 1...500, option: "--limit", unit: "")
  }

  func run() throws {
    let request = try server.request(
      "GET", "/runs",
      query: [("status", status?.rawValue), ("limit", String(limit)), ("cursor", cursor)], idleSeconds: 30)
    let reply: HTTPReply
    do { reply = try server.send(request) } catch let problem as ConnectionProblem {
      throw problem.explained(request)
    }
    try reply.expect(200)
    let object = try reply.object()
    guard let runs = object["runs"]?.array else {
      throw CommandError("the reply has no runs: is this a Dockrion server?")
    }
    if format == .json { return Output.line(try JSONText.line(.object(object))) }
    printTable(runs.compactMap(\.object))
    if let next = object["next_cursor"]?.string {
      let agent = server.agent.map { "--agent \($0) " } ?? ""
      Report.note("more: dockrion runs \(agent)--cursor \(shellWord(Terminal.harmless(next)))")
    }
  }

  private func printTable(_ runs: [JSONObject]) {
    if runs.isEmpty { return Report.note("no runs") }
    let longest = runs.compactMap { $0["run_id"]?.string?.count }.max() ?? 0
    let width = min(max(longest, 3), Limits.idBytesMax)
    // Where they are of several agents, each line says whose it is.
    let hasAgents = Set(runs.map { $0["agent"]?.string }).count > 1
    let header =
      "RUN".padded(to: width) + "  " + "STATUS".padded(to: 10) + "  " + "CREATED".padded(to: 24) + "  EVENTS"
      + (hasAgents ? "  AGENT" : "")
    Output.line(Terminal.output.styled(header, .bold))
    for run in runs {
      func text(_ name: String) -> String { Terminal.harmless(run[name]?.string ?? "") }
      let status = text("status").padded(to: 10)
      let events = run["last_sequence"]?.int.map(String.init) ?? ""
      Output.line(
        "\(text("run_id").padded(to: width))  \(coloured(status))  "
          + "\(text("created_at").padded(to: 24))  "
          + (hasAgents ? "\(events.padded(to: 6))  \(text("agent"))" : events))
    }
  }

  /// The text as one word of a shell's line.
  private func shellWord(_ text: String) -> String {
    if text.wholeMatch(of: /[A-Za-z0-9_.:=\/+-]+/) != nil { return text }
    return "'" + text.replacing("'", with: #"'\''"#) + "'"
  }

  private func coloured(_ status: String) -> String {
    switch status.prefix(while: { $0 != " " }) {
    case "completed": Terminal.output.styled(status, .green)
    case "failed", "cancelled": Terminal.output.styled(status, .red)
    default: status
    }
  }
}

extension RunStatus: ExpressibleByArgument {}
