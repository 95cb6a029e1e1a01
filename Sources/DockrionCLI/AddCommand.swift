import ArgumentParser
import DockrionCore
import DockrionProgram

struct AddCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "add",
    abstract: "Adds a section or an agent to a Dockfile and leaves the rest of it byte for byte.",
    discussion: "Example: dockrion add streaming --events chat --async-runs",
    subcommands: [AddStreamingCommand.self, AddAuthCommand.self, AddAgentCommand.self])
}

struct AddStreamingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "streaming",
    abstract: "Adds the section streaming.",
    discussion: """
      --events takes a preset (minimal, chat, debug, all) or a list of token, step, progress, checkpoint, \
      heartbeat, custom and custom:NAME, with commas between.

      Example: dockrion add streaming --events chat --async-runs
      """)

  @OptionGroup var edit: EditOptions

  @Option(help: "Which events the agent may send.")
  var events: String?

  @Flag(inversion: .prefixedNo, help: "Writes down whether /runs is served; it is unless this says no.")
  var asyncRuns: Bool?

  @Option(help: "Where runs are kept: memory or redis.")
  var backend = BackendWord.memory

  @Option(help: "Seconds of silence before a heartbeat, 1…300.")
  var heartbeat: Int?

  @Option(help: "Seconds an agent may run, 1…86400.")
  var maxDuration: Int?

  func validate() throws {
    _ = try OptionCheck.events(events, option: "--events")
    try OptionCheck.check(heartbeat, in: 1...300, option: "--heartbeat")
    try OptionCheck.check(maxDuration, in: 1...86_400, option: "--max-duration")
  }

  func run() throws {
    let section = StreamingSection(
      asyncRuns: asyncRuns, backend: backend,
      events: try OptionCheck.events(events, option: "--events"), heartbeat: heartbeat,
      maxDuration: maxDuration)
    let dockfile = try edit.place("streaming", section.text)
    if !dockfile.expose.streaming {
      Report.note("note: expose.streaming is none, so /invoke/stream stays off")
    }
  }
}

struct AddAuthCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "auth",
    abstract: "Adds the section auth.",
    discussion: """
      The keys stay out of the file: they are in the environment variable that it names, separated by commas.

      Example: dockrion add auth --env-var SUPPORT_KEYS
      """)

  @OptionGroup var edit: EditOptions

  @Option(help: "none asks for nothing, api_key for a key.")
  var mode = AuthWord.apiKey

  @Option(help: "The environment variable that holds the keys. (default: DOCKRION_API_KEY)")
  var envVar: String?

  @Option(help: "The header that carries the key. (default: X-API-Key)")
  var header: String?

  func validate() throws {
    if mode == .none, let option = envVar.map({ _ in "--env-var" }) ?? header.map({ _ in "--header" }) {
      throw ValidationError("\(option): it has no effect with --mode none")
    }
    if let envVar, !isVariableName(envVar) {
      throw ValidationError(
        "--env-var: \(quoted(envVar)) is no name of an environment variable; use letters, digits and \"_\", "
          + "no digit first")
    }
  }

  func run() throws {
    _ = try edit.place("auth", AuthSection(mode: mode, envVar: envVar, header: header).text)
  }
}

/// What the commands share that add a section.
struct EditOptions: ParsableArguments {
  @OptionGroup var file: EditedFile

  @Flag(name: .shortAndLong, help: "Replaces the section where there is one.")
  var force = false

  /// Puts the section into the file, or prints how that would look; returns the file as it then is.
  func place(_ key: String, _ section: String) throws -> Dockfile {
    try file.edit("the section \(key)") { editor in
      if !force, let line = editor.line(of: key) {
        throw CommandError(
          "\(file.dockfile):\(line): the section \(key) exists already and was left as it is; --force replaces it"
        )
      }
      return try editor.placing(key, section)
    }
  }
}

/// What the `add` commands share: which file, and how it is changed.
struct EditedFile: ParsableArguments {
  @Argument(help: "The Dockfile.", completion: .file(extensions: ["yaml", "yml"]))
  var dockfile = "Dockfile.yaml"

  @Flag(help: "Prints what would change and writes nothing.")
  var dryRun = false

  /// Changes the file, or prints how that would look; returns the file as it then is.
  ///
  /// - Parameter what: what is added, for people.
  func edit(_ what: String, _ change: (SectionEditor) throws -> String) throws -> Dockfile {
    let old: String
    let new: String
    do {
      old = try Dockfile.text(path: dockfile)
      new = try change(try SectionEditor(old, path: dockfile))
    } catch let error as DockfileError {
      throw CommandError("nothing was written, since the file cannot be read:\n\(error)")
    }
    if dryRun { show(UnifiedDiff.lines(from: old, to: new, path: dockfile)) }
    let result: Dockfile
    do { result = try Dockfile.parse(new, path: dockfile) } catch {
      throw CommandError("nothing was written, since the file would not be valid:\n\(error)")
    }
    if dryRun { return result }
    guard old != new else {
      Output.line("\(dockfile): \(what) is like that already")
      return result
    }
    try ReplacedFile(path: dockfile).replace(with: Array(new.utf8), expected: Array(old.utf8))
    Output.line("\(dockfile): wrote \(what)")
    return result
  }

  private func show(_ lines: [String]) {
    for line in lines {
      switch line.first {
      case "+": Output.line(Terminal.output.styled(line, .green))
      case "-": Output.line(Terminal.output.styled(line, .red))
      default: Output.line(line)
      }
    }
    if lines.isEmpty { Report.note("\(dockfile): nothing would change") }
  }
}
