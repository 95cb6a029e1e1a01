import ArgumentParser
import DockrionCore
import DockrionProgram
import Foundation

struct InitCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "init",
    abstract: "Writes a Dockfile that `dockrion run` serves at once.",
    discussion: """
      On a terminal and without any option it asks; Enter takes what stands in brackets. With an option, or \
      where nobody can answer, it never asks. A file that exists is left alone unless --force is given.

      --streaming-events takes a preset (minimal, chat, debug, all) or a list of token, step, progress, \
      checkpoint, heartbeat, custom and custom:NAME, with commas between.

      Example: dockrion init my-agent --async-runs --streaming-events "token,step,custom:fraud"
      """)

  @Argument(help: "The agent's name: letters, digits, \"_\", \".\" and \"-\".")
  var name: String?

  @Option(name: .shortAndLong, help: "The file to write. (default: Dockfile.yaml)", completion: .file())
  var output: String?

  @Flag(name: .shortAndLong, help: "Replaces files that exist.")
  var force = false

  @Option(help: "sse serves POST /invoke/stream, none does not. (default: sse)")
  var streaming: StreamingWord?

  @Option(help: "Which events the agent may send. (default: all)")
  var streamingEvents: String?

  @Flag(inversion: .prefixedNo, help: "Writes down whether /runs is served; it is unless this says no.")
  var asyncRuns: Bool?

  @Option(help: "Where runs are kept: memory or redis. (default: memory)")
  var streamingBackend: BackendWord?

  @Option(help: "A label in events and /info: swift, custom, langgraph or langchain. (default: swift)")
  var framework: FrameworkWord?

  @Option(help: "The name under which the agent is registered. (default: echo, which is built in)")
  var handler: String?

  @Flag(help: "Lets pages of any origin call the server.")
  var cors = false

  @Option(help: "Who may call: none asks for nothing, api_key for a key. (default: none)")
  var auth: AuthWord?

  @Flag(help: "Also writes a Swift package with an agent of your own.")
  var swiftPackage = false

  @Option(
    help:
      "With --swift-package: depends on the dockrion package in this directory, not on the published one.",
    completion: .directory)
  var dockrionPath: String?

  func validate() throws {
    _ = try OptionCheck.events(streamingEvents, option: "--streaming-events")
    if let name, let problem = DockfileTemplate.problem(withName: name) {
      throw ValidationError("NAME: \(problem)")
    }
    if let handler, let problem = DockfileTemplate.problem(withHandler: handler) {
      throw ValidationError("--handler: \(problem)")
    }
    if dockrionPath != nil, !swiftPackage {
      throw ValidationError("--dockrion-path: it needs --swift-package, whose dependency it is")
    }
    if swiftPackage, let handler, BuiltinAgents.all[handler] != nil {
      throw ValidationError(
        "--handler: \(quoted(handler)) is built in; leave it out, and the package's own agent is served")
    }
  }

  private var hasOptions: Bool {
    output != nil || force || streaming != nil || streamingEvents != nil || asyncRuns != nil
      || streamingBackend != nil || framework != nil || handler != nil || cors || auth != nil || swiftPackage
  }

  func run() throws {
    let path = output ?? "Dockfile.yaml"
    let asks = !hasOptions && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
    if !force { try NewFile.checkAbsent(path) }
    var template: DockfileTemplate
    if asks {
      template = try InitQuestions(name: name).ask()
    } else {
      guard let name else {
        throw ValidationError("NAME: the agent's name is missing, such as: dockrion init my-agent")
      }
      template = DockfileTemplate(name: name)
      template.framework = framework ?? .swift
      template.handler = handler
      template.streaming = streaming ?? .sse
      if streamingEvents != nil || asyncRuns != nil || streamingBackend != nil {
        template.section = StreamingSection(
          asyncRuns: asyncRuns, backend: streamingBackend ?? .memory,
          events: try OptionCheck.events(streamingEvents, option: "--streaming-events"))
      }
      template.cors = cors
      template.auth = auth ?? .none
      template.hasPackage = swiftPackage
    }
    var files = [NewFile(path: path, text: template.text)]
    if swiftPackage {
      let directory = (path as NSString).deletingLastPathComponent
      files += SwiftPackageTemplate(template, dockfile: path, dockrionPath: dockrionPath).files(in: directory)
    }
    if !force { for file in files { try NewFile.checkAbsent(file.path) } }
    for file in files {
      try file.write(force: force)
      Output.line("wrote \(file.path)")
    }
    for line in nextSteps(template, path) { Output.line(line) }
  }

  private func nextSteps(_ template: DockfileTemplate, _ path: String) -> [String] {
    let argument = path == "Dockfile.yaml" ? "" : " \(path)"
    var lines: [String] = []
    if template.auth == .apiKey {
      lines.append("first: export \(AuthSection.defaultVariable)=SOME-SECRET     # the key that clients send")
    }
    if template.hasPackage {
      lines.append("next:  swift run \(SwiftPackageTemplate.executable(template.name))\(argument)")
    } else if let handler = template.handler, BuiltinAgents.all[handler] == nil {
      lines.append("next:  serve it from the program that registers \(quoted(handler)); see docs/agents.md")
    } else {
      lines.append("next:  dockrion run\(argument)")
    }
    return lines
  }
}
