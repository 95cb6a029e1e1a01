import ArgumentParser
@_exported import DockrionCore
@_exported import DockrionServer
import Foundation

extension Dockrion {
  /// The whole of a program that serves agents of its own: its command line, from the process's arguments.
  ///
  ///     import DockrionProgram
  ///
  ///     @main struct Main {
  ///       static func main() { Dockrion.main(agents: ["support-bot": SupportBot()]) }
  ///     }
  ///
  /// The program then has the commands `run`, which it takes where none is named, `validate`, `test` and `doctor`, with
  /// the options that they have in `dockrion`: `support-bot --port 9000`, `support-bot test -p '{"question":"…"}'`.
  ///
  /// It returns when the command has done what it was asked for; a server was asked to stop, and did. In every other
  /// case the process ends, after a sentence on standard error: with 1 after an error, such as a port in use, with 2
  /// after wrong usage, and with 130 when it was interrupted.
  ///
  /// - Parameters:
  ///   - agents: agents by name, besides the built-in `echo` and `scripted`; the Dockfile names one of them.
  ///   - dockfile: the file that a command takes where none is named.
  public static func main(agents: [String: any Agent], dockfile: String = "Dockfile.yaml") {
    let name = CommandLine.arguments.first.map { ($0 as NSString).lastPathComponent } ?? "server"
    Program(
      name: name, agents: BuiltinAgents.all.merging(agents) { _, own in own },
      ownAgents: Set(agents.keys),
      dockfile: dockfile
    ).run(ProgramCommand.self)
  }
}

/// The commands of a program with agents of its own.
struct ProgramCommand: ParsableCommand {
  static var configuration: CommandConfiguration {
    let program = Program.current
    return CommandConfiguration(
      commandName: program.name,
      abstract:
        "Serves \(program.ownAgents.sorted().joined(separator: ", ")) and streams what happens.",
      discussion: """
        Without a command it serves, as run does. Exit codes: 0 for success, 1 for an error, 2 for wrong usage, 130 when \
        interrupted.

        Example: \(program.name) run \(program.dockfile) --port 9000
        """,
      version: Dockrion.version,
      subcommands: [RunCommand.self, TestCommand.self, ValidateCommand.self, DoctorCommand.self],
      defaultSubcommand: RunCommand.self)
  }
}
