import ArgumentParser
import Foundation
import LoadClient

@main
struct DockrionLoad: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dockrion-load",
    abstract: "Measures what wrk cannot see, and checks every event while it does.",
    discussion: """
      The server must serve the `scripted` agent (agent: { name: bench, handler: scripted }). An event that is lost, \
      doubled or out of order makes every figure of the run void and the exit code 1.

      Examples:
        dockrion-load streams --streams 2000 --tokens 50 --interval 20
        dockrion-load latency --streams 20 --tokens 200 --interval 5 --runs
        dockrion-load fanout --subscribers 1000 --tokens 1000 --pid PID
        dockrion-load reconnect --clients 200 --tokens 2000 --interval 1
        dockrion-load held --streams 5000 --pid PID --json held.json
      """,
    subcommands: [Streams.self, First.self, Latency.self, Fanout.self, Reconnect.self, Held.self])
}

struct Common: ParsableArguments {
  @Option(help: "The server: http://ADDRESS:PORT or unix:PATH.")
  var url = "http://127.0.0.1:8080"

  @Option(help: "The server's process id, for its CPU time and memory.")
  var pid: Int32?

  @Option(
    help: ArgumentHelp("Writes the result as JSON into this file; - for standard output.", valueName: "file"))
  var json: String?

  @Option(
    help: ArgumentHelp("A version to note in the result, such as dockrion=0.1.0.", valueName: "name=version"))
  var note: [String] = []

  @Option(help: "Seconds after which it gives up.")
  var deadline = 120.0

  @Flag(help: "Shows no progress line.")
  var quiet = false

  func validate() throws {
    if Target(url) == nil {
      throw ValidationError("--url: \(url) is neither http://ADDRESS:PORT nor unix:PATH")
    }
    if deadline <= 0 { throw ValidationError("--deadline: \(deadline) is no time") }
  }

  /// Measures, prints the table, writes the JSON.
  func run(_ scenario: String, _ description: String, _ body: (inout Bench) throws -> Void) throws {
    guard let target = Target(url) else { throw ValidationError("--url: \(url)") }
    raiseDescriptorLimit()
    signal(SIGPIPE, SIG_IGN)
    let progress = Progress(quiet: quiet)
    do {
      let command =
        ([URL(fileURLWithPath: CommandLine.arguments[0]).lastPathComponent]
          + CommandLine.arguments.dropFirst())
      var report = Report(
        scenario: scenario, description: description, command: command.joined(separator: " "))
      for note in note {
        let parts = note.split(separator: "=", maxSplits: 1)
        report.versions[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
      }
      var bench = try Bench(target, pid: pid, progress: progress, seconds: deadline, report: report)
      try body(&bench)
      progress.clear()
      try write(bench.report)
      if bench.report.isVoid { throw ExitCode(1) }
    } catch let error as LoadError {
      progress.clear()
      FileHandle.standardError.write(Data("dockrion-load: \(error)\n".utf8))
      throw ExitCode(1)
    }
  }

  private func write(_ report: Report) throws {
    if json == "-" {
      FileHandle.standardOutput.write(try report.json() + Data("\n".utf8))
    } else {
      print(report.table)
      if let json { try report.json().write(to: URL(fileURLWithPath: json)) }
    }
  }
}

/// Refuses a number out of range with its option's name.
func check(_ name: String, _ value: Int, _ range: ClosedRange<Int>) throws {
  if !range.contains(value) {
    throw ValidationError("--\(name): \(value) is out of range (\(range.lowerBound)…\(range.upperBound))")
  }
}
