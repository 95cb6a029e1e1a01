import ArgumentParser
import DockrionServer
import Foundation

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version",
    abstract: "Prints the versions of dockrion and of the library below it.",
    discussion: "Example: dockrion version")

  func run() throws {
    Output.line("dockrion \(Dockrion.version)")
    Output.line("libevent \(LibeventVersion.text)")
  }
}
