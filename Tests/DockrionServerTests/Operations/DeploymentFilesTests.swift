import DockrionCore
import Foundation
import Testing
import Yams

/// What stops the process must wait for longer than what the process waits for: `config/Dockerfile`, `compose.yaml`,
/// `kubernetes.yaml` and `dockrion.service` against the Dockfiles that they serve.
@Suite(.sharesMachine) struct DeploymentFilesTests {
  /// Docker's own, where nothing else is said.
  private static let dockerStopSeconds = 10
  private static let variable = "DOCKRION_SHUTDOWN_GRACE_SECONDS"
  /// What a stop may take beyond the grace: the last bytes to clients, the access log, the process's end.
  private static let restSeconds = Limits.shutdownFlushSeconds + 1

  private static func text(_ path: String) throws -> String {
    try String(contentsOfFile: projectFile(path), encoding: .utf8)
  }

  /// The grace that a Dockfile gets with these variables; it must be one that a server takes without a word.
  private func grace(_ dockfile: String, _ environment: [String: String]) throws -> Int {
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try dockfile.write(toFile: directory + "/Dockfile.yaml", atomically: true, encoding: .utf8)
    let file = try Dockfile.load(path: directory + "/Dockfile.yaml", environment: environment)
    #expect(file.warnings.isEmpty)
    return file.runtime.shutdownGraceSeconds
  }

  /// The image's variables.
  private static func imageEnvironment() throws -> [String: String] {
    let matches = try text("config/Dockerfile").matches(of: /(?m)^ENV (\w+)=(\S+)$/)
    return Dictionary(uniqueKeysWithValues: matches.map { (String($0.1), String($0.2)) })
  }

  private static func documents(_ path: String) throws -> [Node] {
    try Array(Yams.compose_all(yaml: text(path)))
  }

  @Test func dockerStopWaitsLongerThanTheImage() throws {
    let environment = try Self.imageEnvironment()
    #expect(environment[Self.variable] != nil)
    let grace = try grace(Self.text("config/Dockfile.yaml"), environment)
    #expect(grace + Self.restSeconds <= Self.dockerStopSeconds)
    let lines = try Self.text("config/Dockerfile").split(separator: "\n")
    #expect(lines.contains("STOPSIGNAL SIGTERM"))
    // The form without a shell: the signal reaches dockrion itself.
    #expect(lines.contains { $0.hasPrefix("ENTRYPOINT [\"/usr/bin/dockrion\"]") })
  }

  @Test func aServerWithTheImagesVariablesEndsBeforeDockerStopKillsIt() throws {
    let dockfile = try Self.text("config/Dockfile.yaml")
    let server = try ServerProcess(dockfile, environment: Self.imageEnvironment())
    // A client that does not read holds its agent up for as long as it may.
    let words = String(repeating: "word ", count: 190_000)
    let held = try server.invokeStream(#"{"text":"\#(words)"}"#, receiveBuffer: 4096)
    #expect(try server.metrics().sum("dockrion_active_runs") == 1)
    let start = monotonicNanoseconds()
    server.signal(SIGTERM)
    #expect(server.waitForExit(within: Double(Self.dockerStopSeconds)) == 0)
    #expect(seconds(since: start) > 7, "the grace was not used, so that this shows nothing")
    withExtendedLifetime(held) {}
  }

  @Test func composeWaitsLongerThanItsServers() throws {
    let file = try #require(try Self.documents("config/compose.yaml").first)
    let service = try #require(file["services"]?["dockrion"])
    let stop = try #require(service["stop_grace_period"]?.string.flatMap { Int($0.dropLast()) })
    var environment = try Self.imageEnvironment()
    for (name, value) in try #require(service["environment"]?.mapping) {
      environment[name.string ?? ""] = value.string ?? ""
    }
    let content = try #require(file["configs"]?["dockfile"]?["content"]?.string)
    let grace = try grace(content.replacing("$$", with: "$"), environment)
    #expect(grace == environment[Self.variable].flatMap { Int($0) })
    #expect(grace + Self.restSeconds < stop)
    let redis = try #require(file["services"]?["redis"]?["stop_grace_period"]?.string)
    #expect(try #require(Int(redis.dropLast())) > stop)
  }

  /// A file that is taken as it stands, and refused with one of its keys misspelled: the checker looks at all of it.
  private func checks(_ file: String, misspelling key: String, _ check: (String) throws -> String) throws {
    let text = try Self.text(file)
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let broken = directory + "/broken.yaml"
    let misspelled = String(key.dropLast())
    try text.replacing("\(key):", with: "\(misspelled):").write(
      toFile: broken, atomically: true, encoding: .utf8)
    #expect(throws: Never.self) { try check(projectFile(file)) }
    let error = #expect(throws: ClientError.self) { try check(broken) }
    #expect(
      error?.description.contains("'\(misspelled)'") == true, "\(error?.description ?? "")")
  }

  @Test(arguments: ["stop_grace_period", "configs", "start_period"])
  func composeHasTheFormOfTheComposeSpecification(key: String) throws {
    try checks("config/compose.yaml", misspelling: key) { path in
      try runCommand(
        pythonTool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", path)
    }
  }

  @Test(arguments: ["terminationGracePeriodSeconds", "failureThreshold", "stringData", "minAvailable"])
  func kubernetesHasTheFormOfItsInterface(key: String) throws {
    try checks("config/kubernetes.yaml", misspelling: key) { path in
      try runCommand(pythonTool("kubernetes-validate"), "--strict", path)
    }
  }

  /// The server of the compose file, without its container: its Dockfile, its variables, a real Redis.
  @Test func theComposeFilesServerServesAndItsHealthCheckSeesIt() throws {
    let file = try #require(try Self.documents("config/compose.yaml").first)
    let service = try #require(file["services"]?["dockrion"])
    let check = try #require(service["healthcheck"]?["test"]?.sequence).compactMap(\.string)
    #expect(check.prefix(3) == ["CMD", "bash", "-c"] && check.count == 4)
    let script = try #require(check.last).replacing("$$", with: "$")
    #expect(script.contains("/127.0.0.1/8080 "))
    let content = try #require(file["configs"]?["dockfile"]?["content"]?.string)
    let redis = try RedisProcess()
    var environment = try Self.imageEnvironment()
    for (name, value) in try #require(service["environment"]?.mapping) {
      environment[name.string ?? ""] = value.string ?? ""
    }
    environment["REDIS_URL"] = redis.url
    let server = try ServerProcess(content.replacing("$$", with: "$"), environment: environment)
    func isHealthy() -> Bool {
      let script = script.replacing("/8080 ", with: "/\(server.port) ")
      return (try? runCommand("bash", "-c", script)) != nil
    }
    #expect(isHealthy())
    let run = try server.completedRun(#"{"text":"one two"}"#)
    #expect(try server.get("/runs/\(run)").json()["output"] == ["text": "one two"])
    server.signal(SIGTERM)
    #expect(server.waitForExit(within: 10) == 0)
    #expect(!isHealthy())
  }

  @Test func kubernetesWaitsLongerThanPreStopAndTheGrace() throws {
    let documents = try Self.documents("config/kubernetes.yaml")
    let ofKind = Dictionary(uniqueKeysWithValues: documents.map { ($0["kind"]?.string ?? "", $0) })
    let pod = try #require(ofKind["Deployment"]?["spec"]?["template"]?["spec"])
    let container = try #require(pod["containers"]?[0])
    let stop = try #require(pod["terminationGracePeriodSeconds"]?.int)
    let sleep = try #require(container["lifecycle"]?["preStop"]?["exec"]?["command"]?.sequence)
    #expect(sleep.first?.string == "sleep")
    let preStop = try #require(sleep.last?.string.flatMap { Int($0) })
    var environment = try Self.imageEnvironment()
    for entry in try #require(container["env"]?.sequence) {
      environment[try #require(entry["name"]?.string)] = entry["value"]?.string
    }
    for (name, value) in try #require(ofKind["Secret"]?["stringData"]?.mapping) {
      environment[name.string ?? ""] = value.string
    }
    let dockfile = try #require(ofKind["ConfigMap"]?["data"]?["Dockfile.yaml"]?.string)
    let grace = try grace(dockfile, environment)
    #expect(grace == environment[Self.variable].flatMap { Int($0) })
    #expect(preStop + grace + Self.restSeconds < stop)
    // Until a pod that leaves is known to do so everywhere, new requests come.
    let readiness = try #require(container["readinessProbe"])
    #expect(
      try #require(readiness["periodSeconds"]?.int) * #require(readiness["failureThreshold"]?.int) <= preStop)

    for (probe, path) in [
      ("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready"),
    ] {
      #expect(container[probe]?["httpGet"]?["path"]?.string == path, "\(probe)")
    }
    let port = try #require(container["ports"]?[0]?["containerPort"]?.int)
    #expect(dockfile.contains("port: \(port)"))
  }

  @Test func theUnitWaitsLongerThanItsServer() throws {
    let unit = try Self.text("config/dockrion.service")
    let stop = try #require(unit.firstMatch(of: /(?m)^TimeoutStopSec=(\d+)$/).flatMap { Int($0.1) })
    let grace = try grace(Self.text("config/Dockfile.yaml"), [:])
    #expect(grace + Self.restSeconds < stop)
    #expect(unit.contains("\nKillSignal=SIGTERM\n"))
    let log = try #require(unit.firstMatch(of: /--access-log (\S+)/)).1
    let rotation = try Self.text("config/dockrion.logrotate")
    #expect(rotation.contains("\n\(log) {\n"))
    #expect(rotation.contains("SIGUSR1"))
  }

  private static func comes(_ path: String, in file: String) -> Bool {
    eventually(within: 5) {
      let bytes = FileManager.default.contents(atPath: file) ?? Data()
      return String(decoding: bytes, as: UTF8.self).contains(path)
    }
  }

  @Test func logrotateGivesTheServerANewFile() throws {
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let log = directory + "/access.log"
    try withServer(dockfile("echo"), arguments: ["--host", "127.0.0.1", "--access-log", log]) {
      server throws in
      let rotation = try Self.text("config/dockrion.logrotate")
        .replacing("/var/log/dockrion/access.log {", with: "\(log) {")
        .replacing(/systemctl kill .*/, with: "kill -USR1 \(server.pid)")
      try rotation.write(toFile: directory + "/rotate", atomically: true, encoding: .utf8)
      #expect(try server.get("/health").status == 200)
      #expect(Self.comes("/health", in: log))
      try runCommand("logrotate", "--force", "--state", directory + "/state", directory + "/rotate")
      #expect(try server.get("/ready").status == 200)
      #expect(Self.comes("/health", in: log + ".1"))
      #expect(eventually(within: 5) { FileManager.default.fileExists(atPath: log) })
      #expect(try server.get("/info").status == 200)
      #expect(Self.comes("/info", in: log))
    }
  }
}
