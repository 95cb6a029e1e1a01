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

  @Option(
    help: ArgumentHelp(
      "More agents, with commas between; that of the argument is the default one.", valueName: "names"))
  var agents: String?

  @Flag(help: "Lets pages of any origin call the server.")
  var cors = false

  @Option(help: "Who may call: none asks for nothing, api_key for a key. (default: none)")
  var auth: AuthWord?

  @Flag(help: "Also writes a Swift package with an agent of your own.")
  var swiftPackage = false

  @Option(
    help:
      "With --swift-package: the directory of the dockrion package. (default: the checkout this program was built from)",
    completion: .directory)
  var dockrionPath: String?

  @Option(
    help: "With --swift-package: a repository with the dockrion package, instead of a directory.")
  var dockrionURL: String?

  func validate() throws {
    _ = try OptionCheck.events(streamingEvents, option: "--streaming-events")
    if let name, let problem = DockfileTemplate.problem(withName: name) {
      throw ValidationError("NAME: \(problem)")
    }
    if let handler, let problem = DockfileTemplate.problem(withHandler: handler) {
      throw ValidationError("--handler: \(problem)")
    }
    _ = try furtherAgents()
    if dockrionPath != nil, !swiftPackage {
      throw ValidationError("--dockrion-path: it needs --swift-package, whose dependency it is")
    }
    if dockrionURL != nil, !swiftPackage {
      throw ValidationError("--dockrion-url: it needs --swift-package, whose dependency it is")
    }
    if dockrionURL != nil, dockrionPath != nil {
      throw ValidationError("--dockrion-url and --dockrion-path: one of them is enough")
    }
    if let dockrionPath, !SwiftPackageTemplate.isPackage(dockrionPath) {
      throw ValidationError("--dockrion-path: there is no Package.swift in \(quoted(dockrionPath))")
    }
    if swiftPackage, let handler, BuiltinAgents.all[handler] != nil {
      throw ValidationError(
        "--handler: \(quoted(handler)) is built in; leave it out, and the package's own agent is served")
    }
  }

  /// The names behind `--agents`.
  private func furtherAgents() throws -> [String] {
    guard let agents else { return [] }
    var names: [String] = []
    for part in agents.split(separator: ",", omittingEmptySubsequences: false) {
      let name = part.trimmingCharacters(in: .whitespaces)
      if let problem = DockfileTemplate.problem(withName: name) {
        throw ValidationError("--agents: \(problem)")
      }
      if name == self.name || names.contains(name) {
        throw ValidationError(
          "--agents: \(quoted(name)) stands there twice; each agent needs a name of its own")
      }
      names.append(name)
    }
    return names
  }

  private var hasOptions: Bool {
    output != nil || force || streaming != nil || streamingEvents != nil || asyncRuns != nil
      || streamingBackend != nil || framework != nil || handler != nil || agents != nil || cors || auth != nil
      || swiftPackage
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
      template.others = try furtherAgents()
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
      let dependency = try dependency(of: directory)
      files += SwiftPackageTemplate(template, dockfile: path, dependency: dependency).files(
        in: directory)
    }
    if !force { for file in files { try NewFile.checkAbsent(file.path) } }
    for file in files {
      try file.write(force: force)
      Output.line("wrote \(file.path)")
    }
    for line in nextSteps(template, path) { Output.line(line) }
  }

  /// Where the package in that directory finds dockrion.
  private func dependency(of directory: String) throws -> SwiftPackageTemplate.Dependency {
    if let dockrionURL { return .url(dockrionURL) }
    if let dockrionPath {
      // SwiftPM looks from the package's directory, the option from this one.
      if dockrionPath.hasPrefix("/") || directory.isEmpty { return .path(dockrionPath) }
      return .path(URL(fileURLWithPath: dockrionPath).standardizedFileURL.path)
    }
    guard let checkout = SwiftPackageTemplate.ownCheckout else {
      throw CommandError(
        "--swift-package: the checkout that this program was built from is not here; say where the dockrion package "
          + "is with --dockrion-path DIRECTORY or --dockrion-url URL")
    }
    return .path(checkout)
  }

  /// The path as a shell takes it for one word.
  private func word(_ path: String) -> String {
    let isPlain = path.utf8.allSatisfy { byte in
      ASCII.isAlphanumeric(byte)
        || "/._-+@,:".utf8.contains(byte)
    }
    return isPlain ? path : "'" + path.replacing("'", with: "'\\''") + "'"
  }

  private func nextSteps(_ template: DockfileTemplate, _ path: String) -> [String] {
    let argument = path == "Dockfile.yaml" ? "" : " \(word(path))"
    var lines: [String] = []
    if template.auth == .apiKey {
      lines.append("first: export \(AuthSection.defaultVariable)=SOME-SECRET     # the key that clients send")
    }
    if template.hasPackage {
      let program = SwiftPackageTemplate.executable(template.name)
      let directory = (path as NSString).deletingLastPathComponent
      let package = directory.isEmpty ? "" : "--package-path \(word(directory)) "
      // `run` is named where a file is: a path is an argument of that command.
      lines.append(
        "next:  swift run \(package)\(program)\(argument.isEmpty ? "" : " run" + argument)")
    } else if let handler = template.handler, BuiltinAgents.all[handler] == nil {
      lines.append("next:  serve it from the program that registers \(quoted(handler)); see docs/agents.md")
    } else {
      lines.append("next:  dockrion run\(argument)")
    }
    return lines
  }
}
