import DockrionCore
import Foundation
import Testing

@testable import DockrionCLI
@testable import DockrionProgram

/// `dockrion add` as the built program.
struct AddTests {
  private static let plain = "# mine\nagent:\n  name: \"a\"   # quoted\n"

  @Test func addsTheSectionAndNothingElse() throws {
    let directory = try TemporaryDirectory(dockfile: Self.plain)
    let result = try dockrion(
      "add", "streaming", "--events", "chat", "--async-runs", "--heartbeat", "20", "--max-duration", "60",
      in: directory)
    #expect(result.code == 0, "\(result.err)")
    #expect(
      try directory.read("Dockfile.yaml") == Self.plain + """

        streaming:
          async_runs: true             # POST /runs and what is below it
          backend: memory              # where runs are kept: in this process
          events:
            allowed: chat              # token, step, heartbeat
            heartbeat_interval: 20     # seconds of silence before one
            max_run_duration: 60       # seconds an agent may run

        """)
    #expect(try directory.names() == ["Dockfile.yaml"])
  }

  @Test func needsForceWhereTheSectionExists() throws {
    let text = Self.plain + "streaming: {async_runs: false}\n# end\n"
    let directory = try TemporaryDirectory(dockfile: text)
    let refused = try dockrion("add", "streaming", in: directory)
    #expect(refused.code == 1)
    #expect(refused.err.contains("Dockfile.yaml:4: the section streaming exists already"))
    #expect(try directory.read("Dockfile.yaml") == text)
    #expect(try dockrion("add", "streaming", "--events", "minimal", "--force", in: directory).code == 0)
    let new = try directory.read("Dockfile.yaml")
    #expect(new.hasPrefix(Self.plain + "streaming:\n"))
    #expect(new.hasSuffix("mandatory") == false && new.hasSuffix("\n# end\n"))
    #expect(try Dockfile.parse(new).streaming.filter == .minimal)
  }

  @Test func addsAuth() throws {
    let directory = try TemporaryDirectory(dockfile: Self.plain)
    let result = try dockrion(
      "add", "auth", "--env-var", "KEYS", "--header", "X-Key", in: directory)
    #expect(result.code == 0, "\(result.err)")
    #expect(
      try Dockfile.load(path: directory.path + "/Dockfile.yaml").auth
        == .apiKey(envVar: "KEYS", header: "X-Key", allowBearer: true))
    #expect(try dockrion("add", "auth", "--mode", "none", in: directory).code == 1)
  }

  @Test func aDryRunPrintsADifferenceThatAppliesAndWritesNothing() throws {
    for text in [
      Self.plain, "agent: {name: a}", Self.plain + "\nstreaming:\n  backend: memory\n\nauth:\n  mode: none\n",
    ] {
      let directory = try TemporaryDirectory(dockfile: text)
      let shown = try dockrion("add", "streaming", "--force", "--events", "chat", "--dry-run", in: directory)
      #expect(shown.code == 0, "\(shown.err)")
      #expect(try directory.read("Dockfile.yaml") == text)
      #expect(try dockrion("add", "streaming", "--force", "--events", "chat", in: directory).code == 0)
      #expect(try applied(shown.out, to: text) == (try directory.read("Dockfile.yaml")))
    }
  }

  @Test func keepsModeAndLinks() throws {
    let directory = try TemporaryDirectory()
    try directory.write(Self.plain, to: "real.yaml")
    #expect(chmod(directory.path + "/real.yaml", 0o640) == 0)
    #expect(symlink("real.yaml", directory.path + "/Dockfile.yaml") == 0)
    #expect(try dockrion("add", "streaming", in: directory).code == 0)
    var info = stat()
    #expect(lstat(directory.path + "/Dockfile.yaml", &info) == 0)
    #expect(info.st_mode & S_IFMT == S_IFLNK)
    #expect(stat(directory.path + "/real.yaml", &info) == 0)
    #expect(info.st_mode & 0o7777 == 0o640)
    #expect(try directory.read("real.yaml").contains("streaming:"))
    #expect(try directory.names() == ["Dockfile.yaml", "real.yaml"])
  }

  /// Each is left as it is, and the sentence says why.
  @Test(arguments: [
    ("{agent: {name: a}}\n", "stands in braces"),
    ("---\n{\n  agent: {name: a}\n}\n", "stands in braces"),
    ("agent: {name: a}\nagent: {name: b}\n", "more than once"),
    ("agent: {name: a}\n---\nagent: {name: b}\n", "second YAML document"),
    ("agent:\n\tname: a\n", "a tab stands here"),
    ("- a\n", "not a mapping"),
    ("", "the file is empty"),
    ("# nothing\n", "the file is empty"),
    ("agent: {name: a}\nstreaming: &s {async_runs: true}\nmetadata: *s\n", "uses its anchor &s"),
    ("agent: {name: a}\n? streaming\n: {async_runs: true}\n", "at the start of a line"),
    ("base: &b {streaming: {async_runs: true}}\n<<: *b\nagent: {name: a}\n", "comes from a merge"),
    ("agent: {name: a}\nexpose: {port: 99999}\n", "the file would not be valid"),
    ("agent: {name: a}\nexpose: {port: \"${NOT_SET_AT_ALL}\"}\n", "NOT_SET_AT_ALL is not set"),
  ])
  func refusesWithAReason(text: String, reason: String) throws {
    let directory = try TemporaryDirectory(dockfile: text)
    let result = try dockrion("add", "streaming", "--force", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains(reason), "\(result.err)")
    #expect(try directory.read("Dockfile.yaml") == text)
    #expect(try directory.names() == ["Dockfile.yaml"])
  }

  @Test(arguments: [
    (["--heartbeat", "0"], "--heartbeat: 0 is out of range (1…300 seconds)"),
    (["--max-duration", "86401"], "--max-duration: 86401 is out of range (1…86400 seconds)"),
    (["--events", "steps"], "--events: \"steps\" is no event; did you mean step?"),
    (["--backend", "rediss"], "rediss"),
  ])
  func tellsWrongUsage(arguments: [String], sentence: String) throws {
    let directory = try TemporaryDirectory(dockfile: Self.plain)
    let result = try Command(["add", "streaming"] + arguments, in: directory).finish()
    #expect(result.code == 2)
    #expect(result.err.contains(sentence), "\(result.err)")
    #expect(try directory.read("Dockfile.yaml") == Self.plain)
  }

  @Test func writesTheRedisSection() throws {
    let directory = try TemporaryDirectory(dockfile: Self.plain)
    let result = try dockrion("add", "streaming", "--events", "debug", "--backend", "redis", in: directory)
    #expect(result.code == 0, "\(result.err)")
    #expect(
      try directory.read("Dockfile.yaml") == Self.plain + """

        streaming:
          backend: redis               # where runs are kept: for all instances
          redis:
            url: ${REDIS_URL:-redis://127.0.0.1:6379}
          events:
            allowed: debug             # every event; minimal, chat or a list sends fewer

        """)
  }

  @Test func saysWhenTheDirectoryCannotBeWritten() throws {
    // Root may write everywhere.
    guard geteuid() != 0 else { return }
    let directory = try TemporaryDirectory(dockfile: Self.plain)
    #expect(chmod(directory.path, 0o555) == 0)
    defer { chmod(directory.path, 0o755) }
    let result = try dockrion("add", "streaming", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains("no file can be written in its directory"))
  }
}

/// Applies a unified difference of one hunk, strictly.
func applied(_ difference: String, to text: String) throws -> String {
  var lines = difference.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
  guard lines.count >= 3, lines.removeFirst().hasPrefix("--- "), lines.removeFirst().hasPrefix("+++ "),
    let span = lines.removeFirst().firstMatch(of: /^@@ -(\d+),(\d+) \+(\d+),(\d+) @@$/),
    let start = Int(span.1), let oldCount = Int(span.2), let newCount = Int(span.4)
  else { throw TestFailure("this is no difference: \(difference)") }
  var old = ""
  var new = ""
  var counts = (0, 0)
  var lastSign: Character = " "
  for line in lines {
    let rest = line.dropFirst()
    switch line.first {
    case " ":
      old += rest + "\n"
      new += rest + "\n"
      counts = (counts.0 + 1, counts.1 + 1)
      lastSign = " "
    case "-":
      old += rest + "\n"
      counts.0 += 1
      lastSign = "-"
    case "+":
      new += rest + "\n"
      counts.1 += 1
      lastSign = "+"
    case "\\":
      if lastSign != "+" { old.removeLast() }
      if lastSign != "-" { new.removeLast() }
    default: throw TestFailure("no line of a difference: \(line)")
    }
  }
  guard counts == (oldCount, newCount) else { throw TestFailure("the hunk's head counts wrongly") }
  let before = text.split(separator: "\n", omittingEmptySubsequences: false).prefix(max(0, start - 1))
  let head = before.map { $0 + "\n" }.joined()
  guard text.hasPrefix(head + old) else { throw TestFailure("the hunk does not fit: \(old)") }
  return head + new + text.dropFirst((head + old).count)
}
