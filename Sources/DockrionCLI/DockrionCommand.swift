import ArgumentParser
import DockrionServer
import Glibc

struct DockrionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dockrion",
    abstract: "Runs an AI agent and streams what it does.",
    discussion: """
      Exit codes: 0 for success, 1 for an error, 2 for wrong usage, 130 when interrupted.

      Example: dockrion init my-agent && dockrion run
      """,
    version: Dockrion.version,
    groupedSubcommands: [
      CommandGroup(
        name: "Dockfiles",
        subcommands: [InitCommand.self, AddCommand.self, ValidateCommand.self, SchemaCommand.self]),
      CommandGroup(name: "Agents", subcommands: [RunCommand.self, TestCommand.self]),
      CommandGroup(
        name: "Clients of a running server",
        subcommands: [InvokeCommand.self, TailCommand.self, RunsCommand.self, CancelCommand.self]),
      CommandGroup(name: "This machine", subcommands: [DoctorCommand.self, VersionCommand.self]),
    ])
}

/// Where the process starts, and the one place that decides its exit code.
@main
enum Main {
  static func main() {
    // What a shell shows for an interrupted program, also where nothing looks at signals. Commands that have
    // something to put in order first take the signal themselves.
    if !Interrupt.isIgnored { signal(SIGINT) { _ in _exit(Exit.interrupted) } }
    do {
      var command = try DockrionCommand.parseAsRoot()
      try command.run()
    } catch let error as CommandError {
      Report.error("dockrion: \(error)")
      exit(Exit.failure)
    } catch {
      let code = DockrionCommand.exitCode(for: error)
      let message = DockrionCommand.fullMessage(for: error)
      if code.isSuccess {
        if !message.isEmpty { Output.line(message) }
      } else if !message.isEmpty {
        Report.error(message)
      }
      exit(code == .validationFailure ? Exit.usage : code.rawValue)
    }
  }
}

/// Ctrl-C.
enum Interrupt {
  /// True where whoever started the process wants it to ignore Ctrl-C, as shells do for what runs behind a script.
  static let isIgnored: Bool = {
    var action = sigaction()
    guard sigaction(SIGINT, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }()
}

/// The exit codes; `docs/cli.md` lists them.
enum Exit {
  static let failure: Int32 = 1
  static let usage: Int32 = 2
  static let interrupted: Int32 = 130
}

/// Why a command could not do what it was asked for: a sentence, or several lines.
struct CommandError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// Adds what the system says about `code`.
  static func system(_ context: String, _ code: Int32 = errno) -> CommandError {
    CommandError("\(context): \(String(cString: strerror(code)))")
  }
}
