import Foundation
import Testing

/// A `dockrion run` of its own.
///
///     try withServer(dockfile("echo")) { server throws in
///       #expect(try server.get("/health").status == 200)
///     }
final class ServerProcess {
  let pid: pid_t
  /// Where the start line says that it listens.
  private(set) var endpoint = Endpoint.tcp(0)
  private let directory: String
  private var exitStatus: Int32?

  /// Starts the server and waits for its start line.
  ///
  /// - Parameter program: `dockrion`, or a program of one's own.
  init(
    _ dockfile: String, environment: [String: String] = [:], arguments: [String] = ["--host", "127.0.0.1"],
    program: String = "dockrion"
  ) throws {
    directory = try makeDirectory()
    let isOnSocket = arguments.contains("--unix-socket") || dockfile.contains("unix_socket:")
    pid = try spawnServer(
      dockfile, in: directory, environment: environment,
      arguments: ["--log-level", "info"] + (isOnSocket ? [] : ["--port", "0"]) + arguments, program: program)
    do {
      endpoint = try waitForStartLine()
    } catch {
      kill(SIGKILL)
      throw error
    }
  }

  deinit {
    if !hasExited { kill(SIGKILL) }
    try? FileManager.default.removeItem(atPath: directory)
  }

  var output: String { read("stdout") }
  var errorOutput: String { read("stderr") }

  var port: Int {
    guard case .tcp(let port) = endpoint else { return 0 }
    return port
  }

  var hasExited: Bool {
    if exitStatus != nil { return true }
    var status: Int32 = 0
    guard waitpid(pid, &status, WNOHANG) == pid else { return false }
    exitStatus = status
    return true
  }

  func signal(_ number: Int32) { if !hasExited { Glibc.kill(pid, number) } }

  /// The exit code, or 128 and the signal's number; nil when the process still runs after `seconds`.
  func waitForExit(within seconds: Double) -> Int32? {
    guard eventually(within: seconds, { hasExited }), let status = exitStatus else { return nil }
    let signal = status & 0x7f
    return signal == 0 ? (status >> 8) & 0xff : 128 + signal
  }

  private func kill(_ number: Int32) {
    signal(number)
    _ = waitForExit(within: 5)
  }

  private func waitForStartLine() throws -> Endpoint {
    var found: Endpoint?
    let ended = try eventually(within: 20) {
      if let port = output.firstMatch(of: /http:\/\/[^ \n"]*:(\d+)/).flatMap({ Int($0.1) }) {
        found = .tcp(port)
      } else if let path = output.firstMatch(of: /unix:(\S+)/)?.1 {
        found = .unix(String(path))
      } else if hasExited {
        throw ClientError("the server ended at its start: \(errorOutput)")
      }
      return found != nil
    }
    guard ended, let found else { throw ClientError("no start line: \(output) \(errorOutput)") }
    return found
  }

  private func read(_ name: String) -> String {
    let data = FileManager.default.contents(atPath: directory + "/" + name) ?? Data()
    return String(decoding: data, as: UTF8.self)
  }
}

/// What the system says of the process.
extension ServerProcess {
  var residentBytes: Int { (statusField("VmRSS") ?? 0) * 1024 }
  var threadCount: Int { statusField("Threads") ?? 0 }
  var descriptorCount: Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0
  }

  /// Sockets that are open: those it listens on, clients', and what it inherited. Timers and the like are left
  /// out, since Swift's runtime opens those when it first needs them and keeps them.
  var socketCount: Int {
    let directory = "/proc/\(pid)/fd"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return names.filter { name in
      let target = try? FileManager.default.destinationOfSymbolicLink(atPath: directory + "/" + name)
      return target?.hasPrefix("socket:") == true
    }.count
  }

  private func statusField(_ name: String) -> Int? {
    let text = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
    let line = text?.split(separator: "\n").first { $0.hasPrefix(name + ":") }
    return line.flatMap { Int($0.filter(\.isNumber)) }
  }
}

/// Starts a server, and when `body` is done stops it with SIGTERM and expects exit code 0.
func withServer(
  _ dockfile: String, environment: [String: String] = [:], arguments: [String] = ["--host", "127.0.0.1"],
  program: String = "dockrion", sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (ServerProcess) throws -> Void
) throws {
  let server = try ServerProcess(
    dockfile, environment: environment, arguments: arguments, program: program)
  do {
    try body(server)
  } catch {
    let state = server.hasExited ? "it has exited" : "it runs"
    Issue.record(
      "\(error); of the server: \(state); \(server.errorOutput.suffix(2000))", sourceLocation: sourceLocation)
    return
  }
  server.signal(SIGTERM)
  let code = server.waitForExit(within: 15)
  #expect(code == 0, "\(server.errorOutput.suffix(2000))", sourceLocation: sourceLocation)
}

/// Runs a server that is expected not to start; returns its exit code and what it wrote on standard error.
///
/// - Parameter dockfileName: the file that the command names; the Dockfile is always in `Dockfile.yaml`.
func failedStart(
  _ dockfile: String, arguments: [String], dockfileName: String = "Dockfile.yaml"
) throws -> (code: Int32?, message: String) {
  let directory = try makeDirectory()
  defer { try? FileManager.default.removeItem(atPath: directory) }
  let pid = try spawnServer(
    dockfile, in: directory, environment: [:], arguments: arguments, named: dockfileName)
  var status: Int32 = 0
  let ended = eventually(within: 20) { waitpid(pid, &status, WNOHANG) == pid }
  if !ended {
    kill(pid, SIGKILL)
    waitpid(pid, &status, 0)
  }
  let message = try String(contentsOfFile: directory + "/stderr", encoding: .utf8)
  return (ended && status & 0x7f == 0 ? (status >> 8) & 0xff : nil, message)
}

/// A Dockfile for one agent; `sections` is more YAML. Without a `runtime` section a stop cancels at once.
func dockfile(_ handler: String, _ sections: String = "") -> String {
  let runtime = sections.contains("runtime:") ? "" : "runtime: {shutdown_grace_seconds: 0}\n"
  return "agent: {name: test-agent, framework: swift, handler: \(handler)}\n" + runtime + sections + "\n"
}

/// A new directory of this test's own.
func makeDirectory() throws -> String {
  var template = Array((NSTemporaryDirectory() + "/dockrion-test-XXXXXX").utf8CString)
  guard mkdtemp(&template) != nil else { throw ClientError.system("mkdtemp") }
  return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}

private func spawnServer(
  _ dockfile: String, in directory: String, environment: [String: String], arguments: [String],
  named name: String = "Dockfile.yaml", program: String = "dockrion"
) throws -> pid_t {
  let path = directory + "/" + name
  try dockfile.write(toFile: directory + "/Dockfile.yaml", atomically: false, encoding: .utf8)
  let executable = try serverExecutable(program)
  let variables = ProcessInfo.processInfo.environment.merging(environment) { _, given in given }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  let flags = O_WRONLY | O_CREAT | O_APPEND
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_addopen(&actions, 1, directory + "/stdout", flags, 0o600)
  posix_spawn_file_actions_addopen(&actions, 2, directory + "/stderr", flags, 0o600)
  var argv = ([executable, "run", path] + arguments).map { strdup($0) } + [nil]
  var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
  defer { for string in argv + envp { free(string) } }
  var pid: pid_t = 0
  let code = posix_spawn(&pid, executable, &actions, nil, &argv, &envp)
  guard code == 0 else { throw ClientError.system("cannot start \(executable)", code) }
  return pid
}

/// The programs lie beside the test bundle.
func serverExecutable(_ program: String) throws -> String {
  let ownPath = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
  let starts = CommandLine.arguments.filter { $0.contains(".xctest") } + [ownPath].compactMap(\.self)
  for start in starts {
    var directory = URL(fileURLWithPath: start).resolvingSymlinksInPath().deletingLastPathComponent()
    while directory.path != "/" {
      let candidate = directory.appendingPathComponent(program).path
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory), !isDirectory.boolValue,
        FileManager.default.isExecutableFile(atPath: candidate)
      {
        return candidate
      }
      directory.deleteLastPathComponent()
    }
  }
  throw ClientError("no \(program) beside the test bundle")
}
