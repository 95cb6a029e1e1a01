import ArgumentParser
import DockrionProgram
import DockrionServer

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

/// Where the process starts.
@main
enum Main {
  static func main() { Program.current.run(DockrionCommand.self) }
}
