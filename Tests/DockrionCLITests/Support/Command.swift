import Foundation

/// One `dockrion` process whose output can be looked at while it runs.
///
///     let result = try Command(["validate"], in: directory).finish()
///     #expect(result.code == 0)
final class Command {
  struct Result {
    /// The exit code, or 128 and the signal's number.
    let code: Int32
    let out: String
    let err: String
  }

  let pid: pid_t
  private let directory: TemporaryDirectory
  private let outputs: TemporaryDirectory
  private var status: Int32?

  /// - Parameters:
  ///   - limit: what the shell does before it becomes the program, such as `ulimit -n 500`.
  ///   - environment: besides this process's own, without the variables that the program looks at.
  ///   - terminal: a pseudo-terminal for all three streams, which is then also the controlling one.
  init(
    _ arguments: [String], in directory: TemporaryDirectory, environment: [String: String] = [:],
    input: String? = nil, terminal: PseudoTerminal? = nil, limit: String? = nil,
    program: String = "dockrion"
  ) throws {
    self.directory = directory
    outputs = try TemporaryDirectory()
    try (input ?? "").write(toFile: outputs.path + "/in", atomically: false, encoding: .utf8)
    var variables = ProcessInfo.processInfo.environment.filter {
      !["DOCKRION_URL", "DOCKRION_API_KEY", "NO_COLOR", "REDIS_URL"].contains($0.key)
    }
    variables["TERM"] = "xterm"
    variables.merge(environment) { $1 }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A test's process may have signals blocked or ignored, and both are inherited.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var usual = sigset_t()
    sigemptyset(&usual)
    for number in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&usual, number) }
    posix_spawnattr_setsigdefault(&attributes, &usual)
    let setsid: Int32 = 0x80
    posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (terminal == nil ? 0 : setsid)))
    if let terminal {
      for descriptor: Int32 in 0...2 {
        posix_spawn_file_actions_addopen(&actions, descriptor, terminal.path, O_RDWR, 0)
      }
    } else {
      let flags = O_WRONLY | O_CREAT | O_APPEND
      posix_spawn_file_actions_addopen(&actions, 0, outputs.path + "/in", O_RDONLY, 0)
      posix_spawn_file_actions_addopen(&actions, 1, outputs.path + "/out", flags, 0o600)
      posix_spawn_file_actions_addopen(&actions, 2, outputs.path + "/err", flags, 0o600)
    }
    let executable = try Self.executable(program)
    // `env -C` changes the directory and becomes the program.
    let env = "/usr/bin/env"
    let shell = limit.map { ["sh", "-c", "\($0); exec \"$@\"", "sh"] } ?? []
    var argv = ([env, "-C", directory.path] + shell + [executable] + arguments).map { strdup($0) } + [nil]
    var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for string in argv + envp { free(string) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, env, &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      throw TestFailure("cannot start \(executable): \(String(cString: strerror(code)))")
    }
    self.pid = pid
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
  }

  var out: String { read("out") }
  var err: String { read("err") }

  func signal(_ number: Int32) { if status == nil { kill(pid, number) } }

  /// Waits for its end.
  ///
  /// - Parameter look: called again and again meanwhile, such as to read what a terminal shows.
  func finish(within seconds: Double = 20, _ look: () -> Void = {}) throws -> Result {
    let ended = eventually(within: seconds) {
      look()
      var status: Int32 = 0
      guard waitpid(pid, &status, WNOHANG) == pid else { return false }
      self.status = status
      return true
    }
    guard ended, let status else {
      throw TestFailure("it still runs after \(seconds) s; it wrote: \(out) \(err)")
    }
    let signal = status & 0x7f
    return Result(code: signal == 0 ? (status >> 8) & 0xff : 128 + signal, out: out, err: err)
  }

  private func read(_ name: String) -> String {
    String(decoding: FileManager.default.contents(atPath: outputs.path + "/" + name) ?? Data(), as: UTF8.self)
  }

  /// `dockrion` lies beside the test bundle, and so do other programs of the package.
  static func executable(_ name: String = "dockrion") throws -> String {
    let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    for start in CommandLine.arguments.filter({ $0.contains(".xctest") }) + [own].compactMap(\.self) {
      var directory = URL(fileURLWithPath: start).resolvingSymlinksInPath().deletingLastPathComponent()
      while directory.path != "/" {
        let candidate = directory.appendingPathComponent(name).path
        var isDirectory: ObjCBool = false
        if FileManager.default.fileExists(atPath: candidate, isDirectory: &isDirectory),
          !isDirectory.boolValue
        {
          return candidate
        }
        directory.deleteLastPathComponent()
      }
    }
    throw TestFailure("no \(name) beside the test bundle")
  }
}

/// Runs `dockrion` to its end.
func dockrion(
  _ arguments: String..., in directory: TemporaryDirectory, environment: [String: String] = [:],
  input: String? = nil
) throws -> Command.Result {
  try Command(arguments, in: directory, environment: environment, input: input).finish()
}

/// A directory that is removed with its owner.
final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array((NSTemporaryDirectory() + "/dockrion-cli-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp: \(String(cString: strerror(errno)))") }
    path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// One with a Dockfile in it.
  convenience init(dockfile: String) throws {
    try self.init()
    try write(dockfile, to: "Dockfile.yaml")
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ text: String, to name: String) throws {
    try text.write(toFile: path + "/" + name, atomically: false, encoding: .utf8)
  }

  func read(_ name: String) throws -> String {
    String(decoding: try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)), as: UTF8.self)
  }

  func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}

/// Why a test could not go on.
struct TestFailure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Looks again every few milliseconds until `condition` holds; false when it does not within `seconds`.
func eventually(within seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Date(timeIntervalSinceNow: seconds)
  while true {
    if try condition() { return true }
    if Date() >= deadline { return false }
    usleep(5000)
  }
}
