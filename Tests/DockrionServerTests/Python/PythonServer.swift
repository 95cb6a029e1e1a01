import Foundation
import Testing

/// A Dockfile for handlers of `Tests/python/agents`, with the interpreter that `scripts/python-tools` makes.
///
/// - Parameters:
///   - agent: `agent` in YAML's flow form, without the name.
///   - python: further members of `runtime.python`.
///   - paths: where modules are found.
func pythonDockfile(
  _ agent: String = #"handler: "live:graph""#, python: String = "processes: 2", grace: Int = 0,
  paths: String = projectFile("Tests/python/agents"), sections: String = ""
) -> String {
  """
  agent: {name: test-agent, \(agent)}
  runtime:
    shutdown_grace_seconds: \(grace)
    python:
      {executable: \(projectFile("python/.venv/bin/python")), env: {PYTHONPATH: "\(paths)"}, \(python)}
  \(sections)

  """
}

/// Processes of the system.
enum Processes {
  struct Entry {
    let pid: pid_t
    let parent: pid_t
    let group: pid_t
    let command: String
  }

  static func all() -> [Entry] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.compactMap { pid in
      guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let words = stat.split(separator: ")").last?.split(separator: " "), words.count > 3, words[0] != "Z",
        let parent = pid_t(words[1]), let group = pid_t(words[2])
      else { return nil }
      let command = (try? String(contentsOfFile: "/proc/\(pid)/cmdline", encoding: .utf8)) ?? ""
      return Entry(pid: pid, parent: parent, group: group, command: command)
    }
  }

  static func isAlive(_ pid: pid_t) -> Bool { all().contains { $0.pid == pid } }
}

extension ServerProcess {
  /// The process that forks the agent's others.
  func zygote() throws -> pid_t {
    let found = Processes.all().filter { $0.parent == pid && $0.command.contains("dockrion_worker") }
    guard found.count == 1 else { throw ClientError("\(found.count) processes fork the agent's") }
    return found[0].pid
  }

  /// Those that it has forked.
  func workers() throws -> [pid_t] {
    let zygote = try zygote()
    return Processes.all().filter { $0.parent == zygote }.map(\.pid)
  }

  /// A run that holds its place, and its process.
  func heldRun(_ release: String, do what: String = "hold") throws -> (id: String, pid: pid_t) {
    let id = try startRun(#"{"do":"\#(what)","release":"\#(release)"}"#)
    let stream = try subscribe(to: id)
    let pid = try stream.events(through: "process").last?.json()["pid"]?.int
    guard let pid else { throw ClientError("run \(id) says no process") }
    return (id, pid_t(pid))
  }
}

/// A file that does not exist yet, in a folder of its own.
final class Release {
  private let folder: String
  let path: String

  init() throws {
    folder = try makeDirectory()
    path = "\(folder)/go"
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func go() throws { try Data().write(to: URL(fileURLWithPath: path)) }

  /// True once a run that waited for it was cancelled.
  func wasCancelled(within seconds: Double = 10) -> Bool {
    eventually(within: seconds) { FileManager.default.fileExists(atPath: path + ".cancelled") }
  }
}
