import DockrionCore
import Glibc

/// Finds the Python that an agent runs with.
enum PythonInterpreter {
  /// - Parameters:
  ///   - configured: `runtime.python.executable`: a path, from the Dockfile's folder on, or a name to be looked up in `PATH`.
  ///   - environment: that of the agent.
  /// - Throws: `ServerError` where there is none, or one before 3.10.
  static func find(
    _ configured: String?, in folder: String, _ environment: [String: String]
  ) throws(ServerError) -> String {
    let path = try locate(configured, in: folder, environment)
    let (words, real) = try ask(path, environment)
    let parts = words.split(separator: ".").compactMap { Int($0) }
    guard parts.count >= 2, (parts[0], parts[1]) >= (3, 10) else {
      throw ServerError(
        .pythonFailed, "\(path) is Python \(words), where 3.10 or later is needed",
        advice: "name another one in runtime.python.executable")
    }
    // Not the script that `python3` may be (pyenv's), which would be run at every start.
    return real.hasPrefix("/") ? real : path
  }

  private static func locate(
    _ configured: String?, in folder: String, _ environment: [String: String]
  ) throws(ServerError) -> String {
    let search = environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
    if let configured {
      if configured.contains("/") {
        let path = configured.hasPrefix("/") ? configured : "\(folder)/\(configured)"
        if access(path, X_OK) == 0 { return path }
      } else if let path = lookUp(configured, search) {
        return path
      }
      throw ServerError(
        .pythonFailed, "runtime.python.executable: there is no program \(quoted(configured))")
    }
    let places =
      ["\(folder)/.venv/bin/python"]
      + [environment["VIRTUAL_ENV"]].compactMap(\.self).filter { !$0.isEmpty }.map { "\($0)/bin/python" }
    if let path = places.first(where: { access($0, X_OK) == 0 }) ?? lookUp("python3", search) { return path }
    throw ServerError(
      .pythonFailed,
      "there is no Python: neither \(places.joined(separator: " nor ")) nor python3 in PATH",
      advice: "install it, or name it in runtime.python.executable")
  }

  private static func lookUp(_ name: String, _ search: String) -> String? {
    search.split(separator: ":").lazy.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }

  private static func spawn(
    _ path: String, _ arguments: [String], _ environment: [String: String], _ output: Int32
  ) throws(ServerError) -> pid_t {
    defer { close(output) }
    return try Descriptors.spawn(path, arguments, in: "/", environment, descriptors: [output])
  }

  /// Asks it for its version and its own path. This waits, ten seconds at most: it is for the start.
  private static func ask(
    _ path: String, _ environment: [String: String]
  ) throws(ServerError) -> (version: String, path: String) {
    let (reading, writing) = try Descriptors.pipe()
    defer { close(reading) }
    let script = "import sys; print('.'.join(map(str, sys.version_info[:3]))); print(sys.executable)"
    let pid = try spawn(path, ["-I", "-S", "-c", script], environment, writing)
    defer {
      kill(pid, SIGKILL)
      while waitpid(pid, nil, 0) < 0, errno == EINTR {}
    }
    var text: [UInt8] = []
    let end = Clock.monotonicNanoseconds() + 10 * Clock.second
    while Clock.monotonicNanoseconds() < end {
      var wanted = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
      guard poll(&wanted, 1, 100) > 0 else { continue }
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = read(reading, &bytes, bytes.count)
      guard count > 0 else { break }
      text += bytes[..<count]
    }
    let lines = text.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    guard lines.count == 2 else {
      throw ServerError(.pythonFailed, "\(path) does not tell its version; is it a Python?")
    }
    return (lines[0], lines[1])
  }
}
