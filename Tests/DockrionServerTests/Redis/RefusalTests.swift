import Foundation
import Testing

/// A Redis that answers, and does not do what it is asked.
@Suite(.onlyWaits) struct RefusalTests {
  private static let lease = "lease_seconds: 2, command_timeout_seconds: 1"

  @Test func aReplicaIsTold() throws {
    let primary = try RedisProcess()
    let replica = try RedisProcess(.init(lines: ["replicaof 127.0.0.1 \(primary.port)"]))
    try expectTold(replica, command: "SET", reason: "replica", remedy: "primary") {
      try replica.command("REPLICAOF", "NO", "ONE")
    }
  }

  @Test func aFullRedisIsTold() throws {
    let redis = try RedisProcess()
    try redis.command("CONFIG", "SET", "maxmemory", "1")
    try expectTold(redis, command: "SET", reason: "memory", remedy: "maxmemory") {
      try redis.command("CONFIG", "SET", "maxmemory", "0")
    }
  }

  @Test func aRedisThatBecomesFullIsToldOnce() throws {
    let redis = try RedisProcess()
    try withServer(redisDockfile(redis.url, redis: "lease_seconds: 6")) { server throws in
      let runs = try (0..<20).map { _ in try server.startRun(#"{"tokens":2000,"interval_ms":5}"#) }
      try redis.command("CONFIG", "SET", "maxmemory", "1")
      #expect(try eventually(within: 8) { try server.get("/ready").text.contains("memory") })
      usleep(2_500_000)
      #expect(server.refusals.count { $0.contains("OOM") } == 1, "\(server.refusals)")
      try redis.command("CONFIG", "SET", "maxmemory", "0")
      for run in runs { _ = try server.waitForRun(run, status: "completed", within: 25) }
    }
  }

  @Test func aMissingPermissionIsTold() throws {
    let options = RedisProcess.Options(
      password: "p", user: ("worker", "w"), rule: "~* &* +@all -set")
    try expectTold(try RedisProcess(options), command: "SET", reason: "may not", remedy: "ACL")
  }

  @Test func aMissingChannelIsTold() throws {
    let options = RedisProcess.Options(
      password: "p", user: ("worker", "w"), rule: "~* resetchannels +@all")
    try expectTold(
      try RedisProcess(options), command: "answers", reason: "may not", remedy: "ACL")
  }

  @Test func aClusterThatIsDownIsTold() throws {
    let redis = try RedisProcess(.init(lines: ["cluster-enabled yes"]))
    try expectTold(redis, command: "SET", reason: "cluster", remedy: "proxy")
  }

  @Test func anotherNodeOfAClusterIsToldWithoutItsAddress() throws {
    let nodes = try (0..<2).map { _ in try RedisProcess(.init(lines: ["cluster-enabled yes"])) }
    try nodes[0].command("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    try nodes[1].command("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    try nodes[0].command("CLUSTER", "MEET", "127.0.0.1", "\(nodes[1].port)")
    let isUp = try eventually(within: 20) {
      try nodes.allSatisfy { try $0.command("CLUSTER", "INFO").text?.contains("cluster_state:ok") == true }
    }
    try #require(isUp)
    // The node that does not keep the set of instances; the other keys may lie on either.
    let slot = try nodes[0].command("CLUSTER", "KEYSLOT", "dockrion:instances").integer ?? 0
    try expectTold(nodes[slot < 8192 ? 1 : 0], command: "", reason: "cluster", remedy: "proxy")
  }

  @Test func aSentinelIsTold() throws {
    let sentinel = try RedisProcess(.init(isSentinel: true))
    try expectTold(sentinel, command: "SCRIPT LOAD", reason: "Sentinel", remedy: "port")
  }

  /// One line in the log, the reason in `/ready`, and no address of the Redis for clients; once it is mended, runs go.
  private func expectTold(
    _ redis: RedisProcess, command: String, reason: String, remedy: String,
    sourceLocation: SourceLocation = #_sourceLocation, mend: (() throws -> Void)? = nil
  ) throws {
    let port = try freePort()
    let text = redisDockfile(
      redis.url, redis: Self.lease, sections: "expose: {host: 127.0.0.1, port: \(port)}")
    try withServer(text, sourceLocation: sourceLocation) { server throws in
      let finding = try doctor(text)
      #expect(finding.code == 1, "\(finding.output)", sourceLocation: sourceLocation)
      for word in [reason, remedy] {
        #expect(finding.output.contains(word), "\(finding.output)", sourceLocation: sourceLocation)
      }
      let told = try eventually(within: 8) {
        try !server.refusals.isEmpty && server.get("/ready").text.contains(reason)
      }
      let ready = try server.get("/ready")
      #expect(told, "\(ready.text) \(server.refusals)", sourceLocation: sourceLocation)
      #expect(ready.status == 503, sourceLocation: sourceLocation)
      #expect(try ready.errorCode() == "NOT_READY", sourceLocation: sourceLocation)
      let refused = try server.post("/runs", "{}")
      #expect(refused.status == 503, sourceLocation: sourceLocation)
      #expect(try refused.errorCode() == "BACKEND_UNAVAILABLE", sourceLocation: sourceLocation)
      let listed = try server.get("/runs")
      let shown = try server.get("/runs/some-run")
      for response in [ready, refused, listed, shown] {
        #expect(!response.text.contains("MOVED"), sourceLocation: sourceLocation)
        #expect(!response.text.contains("127.0.0.1"), "\(response.text)", sourceLocation: sourceLocation)
      }
      // Three renewals of the lease.
      usleep(2_000_000)
      #expect(server.refusals.count == 1, "\(server.refusals)", sourceLocation: sourceLocation)
      let line = server.refusals.first ?? ""
      for word in [command, reason, remedy] where !word.isEmpty {
        #expect(line.contains(word), "\(word): \(line)", sourceLocation: sourceLocation)
      }
      guard let mend else { return }
      try mend()
      #expect(try doctor(text).code == 0, sourceLocation: sourceLocation)
      #expect(
        try eventually(within: 10) { try server.get("/ready").status == 200 }, sourceLocation: sourceLocation)
      _ = try server.completedRun(#"{"tokens":1}"#)
    }
  }

  /// What `dockrion doctor` says of a Dockfile.
  private func doctor(_ text: String) throws -> (code: Int, output: String) {
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/Dockfile.yaml"
    try text.write(toFile: path, atomically: false, encoding: .utf8)
    do {
      return (0, try runCommand(try serverExecutable("dockrion"), "doctor", path))
    } catch let error as ClientError {
      return (1, error.description)
    }
  }
}

extension ServerProcess {
  /// Lines of the log that tell what Redis refuses, apart from those of each refused request.
  fileprivate var refusals: [Substring] {
    warnings.filter { $0.contains("Redis at ") || $0.contains("lease") }
  }
}
