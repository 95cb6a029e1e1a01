import DockrionCore
import Glibc

/// What the processes of one Python agent are started with.
struct PythonSettings {
  let agentName: String
  let python: Dockfile.Python
  /// The path of the interpreter.
  let interpreter: String
  /// The Dockfile's folder.
  let folder: String
  let environment: [String: String]
  /// Events of one run that may be under way.
  let window: Int
  /// The first packet to a zygote.
  let startPacket: [UInt8]
  /// The first frame to a worker, without its head.
  let hello: [UInt8]

  /// - Parameters:
  ///   - packages: the folder with the Python packages that the program carries.
  ///   - own: this process's environment.
  init(
    _ configured: Dockfile.Agent, _ dockfile: Dockfile, packages: String, own: [String: String]
  ) throws(ServerError) {
    agentName = configured.name
    python = configured.python ?? dockfile.runtime.python
    folder = Self.folder(of: dockfile.path)
    var environment = own
    for secret in dockfile.secrets where (environment[secret.name] ?? "").isEmpty {
      environment[secret.name] = secret.fallback
    }
    environment.merge(python.environment) { _, given in given }
    interpreter = try PythonInterpreter.find(python.executable, in: folder, environment)
    environment["PYTHONPATH"] = [packages, environment["PYTHONPATH"] ?? ""].filter { !$0.isEmpty }
      .joined(separator: ":")
    self.environment = environment
    window = max(dockfile.runtime.ringCapacity, Limits.pythonWindowMin)
    let agent = Self.agent(configured)
    startPacket = try Self.json([
      "type": "start", "v": 1, "agent": agent, "preload": .string(python.preload.rawValue),
    ])
    let filter = dockfile.filter(of: configured)
    let schema = dockfile.inputSchema(of: configured)?.document.object?["properties"]?.object
    hello = try Self.json([
      "v": 1, "agent": agent,
      "filter": filter == .everything ? .null : .array(filter.words.map(JSONValue.string)),
      "window": JSONValue(window), "threads": JSONValue(python.threads),
      "output_bytes": JSONValue(Limits.pythonFrameBytesMax),
      "cancel_grace_seconds": JSONValue(python.cancelGraceSeconds),
      "event_loop": .string(python.eventLoop.rawValue),
      "expose_errors": .bool(dockfile.runtime.exposeErrors), "log_level": "info",
      "properties": .array(schema?.names.map(JSONValue.string) ?? []),
    ])
  }

  private static func agent(_ configured: Dockfile.Agent) -> JSONValue {
    [
      "name": .string(configured.name), "handler": configured.handler.map(JSONValue.string) ?? .null,
      "entrypoint": configured.entrypoint.map(JSONValue.string) ?? .null,
      "framework": .string(configured.shownFramework),
    ]
  }

  private static func json(_ object: JSONObject) throws(ServerError) -> [UInt8] {
    var out = ByteWriter()
    do { try out.append(json: object) } catch {
      throw ServerError(.pythonFailed, "the agent's settings have no JSON form: \(error)")
    }
    return out.array()
  }

  /// The absolute folder of a file.
  static func folder(of path: String) -> String {
    let end = path.lastIndex(of: "/")
    let folder = end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    guard let resolved = realpath(folder, nil) else { return folder }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
