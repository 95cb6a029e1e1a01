import DockrionCore
import Glibc
import Logging

/// The server as a library.
///
///     try Dockrion.serve(dockfile: "Dockfile.yaml", agents: ["support-bot": SupportBot()])
///
/// Where the Dockfile has a list of agents, each of them is served below `/agents/{name}`.
public enum Dockrion {
  /// The version, as `/health`, `/info` and `dockrion --version` show it.
  public static var version: String { ServerVersion.text }

  /// Serves the agents of a Dockfile, until SIGTERM or SIGINT.
  ///
  /// The calling thread becomes the event loop. For a program that serves and does nothing else: see `Server` for
  /// others, and for several servers in a process.
  ///
  /// - Parameters:
  ///   - path: the Dockfile.
  ///   - agents: agents by name, besides the built-in `echo` and `scripted`; the Dockfile says which of them it serves.
  ///   - logger: where the server reports; standard error by default.
  /// - Throws: `DockfileError` with everything that is wrong in the file, or `ServerError`.
  public static func serve(
    dockfile path: String, agents: [String: any Agent] = [:], logger: Logger = Logger(label: "dockrion")
  ) throws {
    try serve(try Dockfile.load(path: path), agents: agents, logger: logger)
  }

  /// Serves as a Dockfile that has been read, and perhaps changed, says.
  ///
  /// - Parameter announce: gets the lines for a person once clients can connect; prints them by default.
  public static func serve(
    _ dockfile: Dockfile, agents: [String: any Agent] = [:], logger: Logger = Logger(label: "dockrion"),
    announce: ((String) -> Void)? = nil
  ) throws {
    let server = Server(dockfile, agents: agents, stopsOn: [SIGTERM, SIGINT], logger: logger)
    try server.run { server, address in
      let lines = StartLines.lines(dockfile, address.description, example: try server.example())
      for line in lines { (announce ?? StartLines.print)(line) }
    }
  }
}

/// What a person sees at start.
package enum StartLines {
  /// Writes the line to standard output. When nobody reads it, the server serves all the same.
  package static func print(_ line: String) {
    var rest = Array((line + "\n").utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) }
      if count > 0 { rest = rest.dropFirst(count) } else if errno != EINTR { return }
    }
  }

  static func lines(_ dockfile: Dockfile, _ place: String, example: String) -> [String] {
    let names = dockfile.agents.map { agent in
      dockfile.agents.count > 1 && agent.name == dockfile.agent.name ? "\(agent.name) (default)" : agent.name
    }
    var lines = ["dockrion \(Dockrion.version) serves \(names.joined(separator: ", ")) at \(place)"]
    let path = dockfile.expose.streaming ? "/invoke/stream" : dockfile.expose.rest ? "/invoke" : "/runs"
    var key = ""
    if case .apiKey(_, let header, _) = dockfile.auth { key = "-H '\(header): YOUR_KEY' " }
    let quoted = example.replacing("'", with: "'\\''")
    let target: String
    if let socket = dockfile.expose.unixSocket {
      target = "--unix-socket \(socket) http://localhost\(path)"
    } else {
      target = place.replacing("0.0.0.0", with: "localhost").replacing("[::]", with: "localhost") + path
    }
    // The host of the line must be one for which requests are answered.
    var host = ""
    if let name = dockfile.expose.allowedHosts.words.first(where: { !$0.hasPrefix("*") }) {
      host = "-H 'Host: \(name)' "
    }
    lines.append(
      "try: curl -N -X POST \(target) \(host)\(key)-H 'Content-Type: application/json' -d '\(quoted)'")
    return lines
  }
}
