import ArgumentParser
import DockrionLoop
import DockrionProgram
import DockrionServer
import Foundation

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version",
    abstract: "Prints the versions of dockrion and of the libraries below it.",
    discussion: "Example: dockrion version")

  func run() throws {
    Output.line("dockrion \(Dockrion.version)")
    Output.line("libevent \(LibeventVersion.text)")
    Output.line("mimalloc \(Allocator.version)")
  }
}
