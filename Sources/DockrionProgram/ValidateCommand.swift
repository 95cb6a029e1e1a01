import ArgumentParser
import DockrionCore
import Foundation

package struct ValidateCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "validate",
    abstract: "Checks a Dockfile and reports everything that is wrong with it.",
    discussion: """
      Errors and warnings go to standard error, each with file, line and column; what would be served goes to \
      standard output. With --format json one object on standard output holds all of it.

      Example: \(Program.current.name) validate config/Dockfile.yaml --format json
      """)

  @Argument(help: "The Dockfile.", completion: .file(extensions: ["yaml", "yml"]))
  var dockfile = Program.current.dockfile

  @Flag(name: .shortAndLong, help: "Prints errors and nothing else.")
  var quiet = false

  @Option(help: "text or json.")
  var format = ReportFormat.text

  package init() {}

  package func run() throws {
    let (errors, warnings): ([DockfileIssue], [DockfileIssue])
    var valid: Dockfile?
    do {
      let read = try Dockfile.load(path: dockfile)
      (errors, warnings) = (problems(read), read.warnings)
      if errors.isEmpty { valid = read }
    } catch {
      (errors, warnings) = (error.issues, error.warnings)
    }
    switch format {
    case .text: printText(errors, warnings, valid)
    case .json: try printJSON(errors, warnings, valid)
    }
    if valid == nil { throw ExitCode(Exit.failure) }
  }

  /// What the file itself does not tell: whether this program could serve it now.
  private func problems(_ read: Dockfile) -> [DockfileIssue] {
    let program = Program.current
    let environment = ProcessInfo.processInfo.environment
    var issues = [read.missingKeys(in: environment)].compactMap(\.self) + read.missingSecrets(in: environment)
    // `dockrion` also checks files that another program is to serve.
    if !program.ownAgents.isEmpty {
      for agent in read.agents where !agent.isPython && program.agents[agent.lookupName] == nil {
        issues.append(read.unregistered(agent, known: Array(program.agents.keys)))
      }
    }
    return issues
  }

  private func printText(_ errors: [DockfileIssue], _ warnings: [DockfileIssue], _ valid: Dockfile?) {
    let terminal = Terminal.errors
    for issue in errors { Report.error(issue.line(as: terminal.styled("error", .red))) }
    guard !quiet else { return }
    for issue in warnings { Report.error(issue.line(as: terminal.styled("warning", .yellow))) }
    if let valid {
      Output.line("\(dockfile) is valid")
      for (name, lines) in DockfileSummary(valid).rows {
        for (index, line) in lines.enumerated() {
          Output.line("  \((index == 0 ? name : "").padded(to: 10)) \(line)")
        }
      }
    } else {
      Report.error("\(dockfile): \(errors.count) error\(errors.count == 1 ? "" : "s")")
    }
  }

  private func printJSON(_ errors: [DockfileIssue], _ warnings: [DockfileIssue], _ valid: Dockfile?) throws {
    func list(_ issues: [DockfileIssue]) -> JSONValue { .array(issues.map { .object(Self.json($0)) }) }
    var report: JSONObject = [
      "path": .string(dockfile), "valid": .bool(valid != nil), "errors": list(errors),
      "warnings": list(warnings),
    ]
    if let valid {
      let rows = DockfileSummary(valid).rows
      report["summary"] = .object(
        JSONObject(
          rows.map { name, lines in
            (
              name,
              name == "agents" ? .array(lines.map { .string($0) }) : .string(lines.joined(separator: "; "))
            )
          }))
    }
    if !quiet || valid == nil { Output.line(try JSONText.line(.object(report))) }
  }

  private static func json(_ issue: DockfileIssue) -> JSONObject {
    [
      "file": .string(issue.path), "line": issue.line.map { .int(Int64($0)) } ?? .null,
      "column": issue.column.map { .int(Int64($0)) } ?? .null, "field": .string(issue.field),
      "message": .string(issue.message),
    ]
  }
}

extension DockfileIssue {
  /// The issue in one line that says of which kind it is, such as `Dockfile.yaml:4:3: warning: expose.hots: …`.
  func line(as kind: String) -> String {
    let place = [path, line.map(String.init), column.map(String.init)].compactMap(\.self)
    return "\(place.joined(separator: ":")): \(kind): \(field.isEmpty ? "" : field + ": ")\(message)"
  }
}

/// What a Dockfile would serve, in a few lines for a person.
struct DockfileSummary {
  let rows: [(name: String, lines: [String])]

  init(_ dockfile: Dockfile) {
    var routes: [String] = []
    if dockfile.expose.rest { routes.append("POST /invoke") }
    if dockfile.expose.streaming { routes.append("POST /invoke/stream") }
    if dockfile.streaming.asyncRuns { routes.append("/runs") }
    if dockfile.hasAgentList { routes.append("each agent's below /agents/NAME") }
    let host = dockfile.expose.host
    let place =
      dockfile.expose.unixSocket.map { "unix:\($0)" }
      ?? "http://\(host.contains(":") ? "[\(host)]" : host):\(dockfile.expose.port)"
    let auth: String
    switch dockfile.auth {
    case .none: auth = "none: anybody may call"
    case .apiKey(let variable, let header, let bearer):
      auth = "a key from \(variable), in \(header)\(bearer ? " or Authorization: Bearer" : "")"
    }
    let others = [
      ("listens", place),
      ("serves", routes.joined(separator: ", ")),
      ("events", Self.events(dockfile.streaming.filter)),
      (
        "runs",
        "at most \(dockfile.streaming.maxRunSeconds) s, kept \(dockfile.streaming.retentionSeconds) s after their end"
      ),
      ("auth", auth),
      ("cors", dockfile.expose.cors.map { $0.origins.joined(separator: ", ") } ?? "none"),
      (
        "hosts",
        dockfile.expose.allowedHosts.isEmpty
          ? "any" : dockfile.expose.allowedHosts.words.joined(separator: ", ")
      ),
    ].map { (name: $0.0, lines: [$0.1]) }
    rows = Self.agents(dockfile) + others
  }

  private static func agents(_ dockfile: Dockfile) -> [(name: String, lines: [String])] {
    func handler(_ agent: Dockfile.Agent) -> String {
      let program = Program.current
      if agent.isPython { return "\(agent.lookupName) (in Python)" }
      let kind =
        program.ownAgents.contains(agent.lookupName)
        ? "of this program"
        : program.agents[agent.lookupName] == nil ? "for a program that registers it" : "built in"
      return "\(agent.lookupName) (\(kind))"
    }
    guard dockfile.hasAgentList else {
      let agent = dockfile.agent
      return [
        ("agent", ["\(agent.name), framework \(agent.shownFramework)"]), ("handler", [handler(agent)]),
      ]
    }
    let lines = dockfile.agents.enumerated().map { index, agent in
      var parts = ["framework \(agent.shownFramework)", "handler \(handler(agent))"]
      if let filter = agent.filter { parts.append("events \(events(filter))") }
      if let most = agent.maxConcurrentRuns { parts.append("at most \(most) at once") }
      let note = index == dockfile.defaultAgentIndex ? " (default)" : ""
      return "\(agent.name)\(note): \(parts.joined(separator: "; "))"
    }
    return [("agents", lines)]
  }

  private static func events(_ filter: EventsFilter) -> String {
    filter.words.isEmpty ? "the mandatory ones" : filter.words.joined(separator: ", ")
  }
}
