import ArgumentParser
import DockrionCore
import DockrionProgram

struct AddAgentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "agent",
    abstract: "Adds an agent; a file with one gets a list, in which that one stays the default.",
    discussion: """
      Each agent of a list is served below /agents/NAME; the default one without that prefix as well.

      Example: dockrion add agent search --handler searcher
      """)

  @Argument(help: "The agent's name: letters, digits, \"_\", \".\" and \"-\".")
  var name: String

  @OptionGroup var file: EditedFile

  @Option(help: "The name under which the agent is registered. (default: echo, which is built in)")
  var handler: String?

  @Option(help: "What it is for, as /agents and /info show it.")
  var description: String?

  @Option(help: "A label in events and /info: swift, custom, langgraph or langchain. (default: swift)")
  var framework: FrameworkWord?

  func validate() throws {
    if let problem = DockfileTemplate.problem(withName: name) { throw ValidationError("NAME: \(problem)") }
    if let handler, let problem = DockfileTemplate.problem(withHandler: handler) {
      throw ValidationError("--handler: \(problem)")
    }
  }

  func run() throws {
    let entry = AgentEntry(name: name, handler: handler, framework: framework, description: description)
    let dockfile = try file.edit("the agent \(name)") { editor in
      try refuseKnown(editor)
      return try editor.adding(entry)
    }
    Report.note(
      "note: it is served below /agents/\(name); the routes without prefix are those of \(dockfile.agent.name)"
    )
  }

  /// - Throws: `CommandError` where the file has an agent of that name.
  private func refuseKnown(_ editor: SectionEditor) throws {
    guard let read = try? Dockfile.load(path: file.dockfile) else { return }
    guard let index = read.agents.firstIndex(where: { $0.name == name }) else { return }
    let key = read.hasAgentList ? "agents" : "agent"
    let place = editor.line(of: key).map { "\(file.dockfile):\($0)" } ?? file.dockfile
    throw CommandError(
      "\(place): \(read.hasAgentList ? "agents[\(index)]" : "agent") has the name \(name) already; "
        + "nothing was written")
  }
}
