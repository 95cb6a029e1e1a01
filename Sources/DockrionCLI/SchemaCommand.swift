import ArgumentParser
import DockrionProgram

struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Prints the JSON Schema of the Dockfile, for editors.",
    discussion: """
      Draft 2020-12. With the YAML language server, a first line in the Dockfile names it:
        # yaml-language-server: $schema=dockfile.schema.json

      Example: dockrion schema > dockfile.schema.json
      """)

  func run() throws {
    Output.line(try JSONText.pretty(.object(DockfileSchema.document)))
  }
}
