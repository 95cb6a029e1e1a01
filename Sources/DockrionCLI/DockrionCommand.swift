import ArgumentParser
import DockrionServer

@main
struct DockrionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dockrion",
    abstract: "Runs an AI agent and streams what it does.",
    version: Dockrion.version,
    subcommands: [RunCommand.self])
}
