import ArgumentParser
import DockrionCore
import DockrionServer
import Glibc
import Logging

package struct RunCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Serves the agent that a Dockfile describes.",
    discussion: """
      Prints where it listens and a curl line to try it. SIGTERM or SIGINT stops it: running agents get \
      runtime.shutdown_grace_seconds to end; a second signal ends at once. SIGUSR1 reopens the access log.

      Example: \(Program.current.name) run config/Dockfile.yaml --port 9000
      """)

  @Argument(help: "The Dockfile.", completion: .file(extensions: ["yaml", "yml"]))
  var dockfile = Program.current.dockfile

  @Option(help: "The IP address to listen on, instead of expose.host.")
  var host: String?

  @Option(help: "The TCP port, instead of expose.port; 0 takes a free one.")
  var port: Int?

  @Option(help: "The path of a Unix socket to listen on, instead of TCP.")
  var unixSocket: String?

  @Option(help: "trace, debug, info, notice, warning, error or critical.")
  var logLevel = LogLevel.notice

  @Option(help: "text or json; with json the lines of the start are JSON too.")
  var logFormat = LineLogHandler.Format.text

  @Option(
    help: ArgumentHelp(
      "A file that gets a line of JSON for each request, or - for standard output.", valueName: "file"))
  var accessLog: String?

  package func validate() throws {
    if let port, !(0...65_535).contains(port) {
      throw ValidationError("--port: \(port) is out of range (1…65535, or 0 for a free one)")
    }
    if accessLog == "" { throw ValidationError("--access-log: a file's path is needed, or -") }
    if unixSocket != nil, host != nil || port != nil {
      throw ValidationError(
        "--unix-socket stands alone: a server listens on a socket or on --host and --port")
    }
  }

  package init() {}

  package func run() throws {
    let (level, format) = (logLevel.level, logFormat)
    LoggingSystem.bootstrap { LineLogHandler(label: $0, level: level, format: format) }
    do {
      var file = try Dockfile.load(path: dockfile)
      if let host { (file.expose.host, file.expose.unixSocket) = (host, nil) }
      if let port { (file.expose.port, file.expose.unixSocket) = (port, nil) }
      if let unixSocket { file.expose.unixSocket = unixSocket }
      file.runtime.accessLog = accessLog
      try Dockrion.serve(file, agents: Program.current.agents) {
        StartLines.print(format.lines($0, level: .notice))
      }
    } catch {
      let logger = Logger(label: "dockrion")
      for warning in (error as? DockfileError)?.warnings ?? [] { logger.warning("\(warning)") }
      let sentence = "\(error)\(hint)"
      Report.error(
        format == .json
          ? format.lines(sentence, level: .critical) : "\(Program.current.name): \(sentence)")
      throw ExitCode(1)
    }
  }
}

extension LineLogHandler.Format {
  /// What a command line asks for that could not be read as a whole, so that its errors have that form too.
  static func asked(in arguments: [String]) -> LineLogHandler.Format {
    let first = arguments.dropFirst().first ?? ""
    // A program with agents of its own serves where no command is named.
    let isDefault = !Program.current.ownAgents.isEmpty && first.hasPrefix("-")
    guard first == RunCommand.configuration.commandName || isDefault else { return .text }
    for (index, argument) in arguments.enumerated() {
      if argument == "--log-format=json" { return .json }
      if argument == "--log-format", arguments.dropFirst(index + 1).first == "json" { return .json }
    }
    return .text
  }
}

extension RunCommand {
  /// Said where the file is missing and its name looks like a command's.
  private var hint: String {
    guard access(dockfile, F_OK) != 0, let command = UnknownCommand.nearest(to: dockfile) else {
      return ""
    }
    return "; did you mean the command \(command)?"
  }
}

/// The words for `--log-level`.
enum LogLevel: String, CaseIterable, ExpressibleByArgument {
  case trace, debug, info, notice, warning, error, critical

  var level: Logger.Level {
    switch self {
    case .trace: .trace
    case .debug: .debug
    case .info: .info
    case .notice: .notice
    case .warning: .warning
    case .error: .error
    case .critical: .critical
    }
  }
}

extension LineLogHandler.Format: ExpressibleByArgument {}
