import DockrionCore
import Foundation
import Testing

/// What `dockrion init` writes. The golden files are the whole output, to be read by people as well.
struct InitTests {
  static let cases: [(golden: String, arguments: [String])] = [
    ("plain", []),
    ("streaming-sse", ["--streaming", "sse"]),
    ("streaming-none", ["--streaming", "none"]),
    ("events-chat", ["--streaming-events", "chat"]),
    ("async-chat", ["--async-runs", "--streaming-events", "chat"]),
    ("events-list", ["--streaming-events", "token,step,custom:fraud"]),
    ("several-agents", ["--agents", "search,billing"]),
    ("async-redis", ["--async-runs", "--streaming-backend", "redis"]),
    (
      "everything",
      [
        "--streaming", "sse", "--streaming-events", "debug", "--no-async-runs", "--framework", "langgraph",
        "--handler", "scripted", "--cors", "--auth", "api_key",
      ]
    ),
  ]

  @Test(arguments: cases)
  func writesTheGoldenFile(golden: String, arguments: [String]) throws {
    let directory = try TemporaryDirectory()
    let result = try Command(["init", "my-agent"] + arguments, in: directory).finish()
    #expect(result.code == 0, "\(result.err)")
    let written = try directory.read("Dockfile.yaml")
    let url = try #require(
      Bundle.module.url(forResource: golden, withExtension: "yaml", subdirectory: "Golden"))
    #expect(written == (try String(contentsOf: url, encoding: .utf8)))
    #expect(try directory.names() == ["Dockfile.yaml"])
    let read = try Dockfile.parse(written, environment: [:])
    #expect(read.warnings.isEmpty)
    #expect(read.agent.name == "my-agent")
  }

  @Test func writesWhatIsServedAtOnce() throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("init", "my-agent", in: directory).code == 0)
    let server = try Command(["run", "--port", "0"], in: directory)
    let listens = eventually(within: 20) { server.out.contains("serves my-agent at http://127.0.0.1:") }
    #expect(listens, "\(server.err)")
    server.signal(SIGTERM)
    #expect(try server.finish().code == 0)
  }

  @Test func leavesAFileThatExistsAlone() throws {
    let directory = try TemporaryDirectory(dockfile: "mine")
    let refused = try dockrion("init", "my-agent", in: directory)
    #expect(refused.code == 1)
    #expect(refused.err.contains("Dockfile.yaml exists already"))
    #expect(try directory.read("Dockfile.yaml") == "mine")
    let forced = try dockrion("init", "my-agent", "-f", in: directory)
    #expect(forced.code == 0)
    #expect(try directory.read("Dockfile.yaml").hasPrefix("# The Dockfile of my-agent."))
  }

  @Test func writesWhereOutputSays() throws {
    let directory = try TemporaryDirectory()
    let result = try dockrion("init", "my-agent", "-o", "deep/down/d.yaml", in: directory)
    #expect(result.code == 0)
    #expect(result.out.contains("dockrion run deep/down/d.yaml"))
    #expect(try directory.read("deep/down/d.yaml").contains("name: my-agent"))
  }

  @Test(arguments: ["true", "123", "null", "1.0", "no"])
  func quotesNamesThatYAMLWouldTakeForSomethingElse(name: String) throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("init", name, in: directory).code == 0)
    #expect(try Dockfile.load(path: directory.path + "/Dockfile.yaml").agent.name == name)
  }

  @Test(arguments: [
    (["bad name"], "\"bad name\" is not a name"),
    (["a", "--streaming-events", "tokn"], "--streaming-events: \"tokn\" is no event; did you mean token?"),
    (["a", "--streaming-events", "chat,token"], "\"chat\" is a preset and stands alone"),
    (["a", "--streaming-events", "chatt"], "did you mean chat?"),
    (["a", "--streaming-events", "token,,step"], "an event's name is missing"),
    (["a", "--streaming-events", "fraud"], "write custom:fraud"),
    (["a", "--streaming-events", "custom:9x"], "\"9x\" cannot be a custom event's name"),
    (["a", "--streaming-events", "custom:token"], "write token without custom:"),
    (["a", "--streaming", "websocket"], "websocket"),
    (["a", "--dockrion-path", "/x"], "needs --swift-package"),
    (["a", "--dockrion-url", "https://a.example/b.git"], "needs --swift-package"),
    (
      ["a", "--swift-package", "--dockrion-path", "/no/where"],
      "there is no Package.swift in \"/no/where\""
    ),
    (["a", "--no-such-option"], "--no-such-option"),
    ([], "the agent's name is missing"),
  ])
  func tellsWrongUsageWithExitCode2(arguments: [String], sentence: String) throws {
    let directory = try TemporaryDirectory()
    let result = try Command(["init"] + arguments, in: directory).finish()
    #expect(result.code == 2)
    #expect(result.err.contains(sentence), "\(result.err)")
    #expect(try directory.names().isEmpty)
  }

  @Test func writesAPackageThatNamesItsAgentEverywhereTheSame() throws {
    let directory = try TemporaryDirectory()
    let package = try TemporaryDirectory()
    try package.write("", to: "Package.swift")
    let result = try dockrion(
      "init", "my-agent", "--swift-package", "--dockrion-path", package.path, in: directory)
    #expect(result.code == 0)
    #expect(try directory.names() == ["Dockfile.yaml", "Package.swift", "Sources"])
    let manifest = try directory.read("Package.swift")
    #expect(manifest.contains(".package(name: \"dockrion\", path: \"\(package.path)\")"))
    let source = try directory.read("Sources/my-agent/MyAgent.swift")
    #expect(source.contains("[\"my-agent\": MyAgent()]"))
    let dockfile = try Dockfile.load(path: directory.path + "/Dockfile.yaml")
    #expect(dockfile.agent.lookupName == "my-agent")
    let again = try dockrion("init", "x", "-o", "other.yaml", "--swift-package", in: directory)
    #expect(again.code == 1)
    #expect(again.err.contains("Package.swift exists already"))
    #expect(try directory.names() == ["Dockfile.yaml", "Package.swift", "Sources"])
  }

  /// Below another directory, the line that is printed works, and paths are right from where they are looked at.
  @Test func aPackageInASubdirectoryIsRunFromHere() throws {
    let directory = try TemporaryDirectory()
    let result = try dockrion(
      "init", "my-agent", "-o", "sub/a b/d.yaml", "--swift-package", "--dockrion-path", ".",
      in: directory)
    #expect(result.code == 2, "there is no package here")
    try directory.write("", to: "Package.swift")
    let written = try dockrion(
      "init", "my-agent", "-o", "sub/a b/d.yaml", "--swift-package", "--dockrion-path", ".",
      in: directory)
    #expect(written.code == 0, "\(written.err)")
    #expect(
      written.out.hasSuffix(
        "next:  swift run --package-path 'sub/a b' my-agent run 'sub/a b/d.yaml'\n"),
      "\(written.out)")
    let manifest = try directory.read("sub/a b/Package.swift")
    let path = try #require(manifest.firstMatch(of: /path: "([^"]*)"/)?.1)
    #expect(
      path.hasPrefix("/")
        && FileManager.default.contentsEqual(
          atPath: path + "/Package.swift", andPath: directory.path + "/Package.swift")
    )
    #expect(
      try directory.read("sub/a b/Sources/my-agent/MyAgent.swift").contains("dockfile: \"d.yaml\""))
  }

  @Test func aPackageFindsDockrionWhereItIs() throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("init", "a", "--swift-package", in: directory).code == 0)
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
      .deletingLastPathComponent().path
    #expect(
      try directory.read("Package.swift").contains(
        ".package(name: \"dockrion\", path: \"\(root)\")"))
    let url = "https://git.example/team/dockrion-swift.git"
    let other = try dockrion(
      "init", "a", "-f", "--swift-package", "--dockrion-url", url, in: directory)
    #expect(other.code == 0)
    let manifest = try directory.read("Package.swift")
    #expect(manifest.contains(".package(url: \"\(url)\", from: \"0.1.0\")"))
    #expect(manifest.contains("package: \"dockrion-swift\")"))
  }

  /// Against the modules that this build made; a whole build of such a package takes minutes.
  @Test(arguments: [
    "my-agent", "agent", "9lives", "a.b_c", "Dockrion", "main", "x--y", "JSON-object", "echo",
  ])
  func thePackagesCodeCompiles(name: String) throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("init", name, "--swift-package", in: directory).code == 0)
    let sources = try FileManager.default.subpathsOfDirectory(atPath: directory.path + "/Sources")
      .filter { $0.hasSuffix(".swift") }
    #expect(sources.count == 1)
    let said = try SwiftCompiler.check(sources.map { directory.path + "/Sources/" + $0 })
    #expect(said.isEmpty, "\(said)")
  }
}
