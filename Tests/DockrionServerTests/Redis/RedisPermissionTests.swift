import Foundation
import Testing

/// The commands that `docs/redis-schema.md` lists: neither more nor less than what is used.
@Suite(.onlyWaits) struct RedisPermissionTests {
  @Test func whatTheDocumentListsIsEnoughAndNotTooMuch() throws {
    let listed = try documentedCommands()
    #expect(listed.count > 20, "\(listed)")
    let rule = listed.map { "+" + $0.lowercased().replacing(" ", with: "|") }.joined(separator: " ")
    let options = RedisProcess.Options(
      password: "p", user: ("worker", "w"), rule: "~dockrion:* resetchannels &dockrion:* -@all " + rule)
    let keys = "lease_seconds: 2, max_events_per_run: 100, stream_ttl_seconds: 60"
    let redis = try RedisProcess(options)
    let admin = try RedisConnection(to: redis.endpoint, .init(password: "p"))
    let text = redisDockfile(redis.url(credentials: "worker:w@", database: 2), redis: keys)
    let instances = try Instances(2, on: redis, text)
    try instances.waitUntilReady()
    let (a, b) = (instances.a, instances.b)
    let done = try a.completedRun(#"{"tokens":3000}"#)
    #expect(try b.subscribe(to: done).remainingEvents().last?.type == "complete")
    let running = try a.startRun(#"{"tokens":5,"hang":true}"#)
    let follower = try b.subscribe(to: running)
    for _ in 0..<6 { _ = try follower.event() }
    #expect(try b.request("DELETE", "/runs/\(running)").status == 200)
    #expect(try follower.remainingEvents().last?.type == "cancelled")
    let keyed = try a.post("/runs?run_id=keyed", "{}", headers: ["Idempotency-Key: k"])
    #expect(keyed.status == 202)
    #expect(try b.post("/runs", "{}", headers: ["Idempotency-Key: k"]).json()["run_id"] == "keyed")
    #expect(try b.post("/runs?run_id=keyed", "{}", headers: ["Idempotency-Key: l"]).status == 409)
    #expect(try b.get("/runs").json()["runs"]?.array?.count == 3)
    let orphan = try a.startRun(#"{"hang":true}"#)
    // A listed run whose record has gone is taken out.
    try admin.command(["SELECT", "2"])
    try admin.command(["ZADD", "dockrion:runs", "99999999999999999", "gone"])
    #expect(try eventually(within: 5) { try b.get("/runs").json()["runs"]?.array?.count == 4 })
    #expect(try admin.command(["ZSCORE", "dockrion:runs", "gone"]) == .null)
    try instances.kill(a)
    _ = try b.waitForRun(orphan, status: "failed", within: 8)
    #expect(try eventually(within: 8) { try admin.command(["SCARD", "dockrion:instances"]).integer == 1 })
    b.signal(SIGTERM)
    #expect(b.waitForExit(within: 10) == 0)
    for server in [a, b] {
      #expect(!server.errorOutput.contains("NOPERM"), "\(server.errorOutput.suffix(2000))")
    }
    let denied = try admin.command(["ACL", "LOG"]).array ?? []
    #expect(denied.isEmpty, "\(denied.prefix(3))")
    let used = try admin.command(["INFO", "commandstats"]).text ?? ""
    for command in listed {
      let name = command.lowercased().replacing(" ", with: "|")
      #expect(used.contains("cmdstat_\(name):"), "\(command) is listed and was not used")
    }
  }

  /// The words in code quotes behind "Commands:".
  private func documentedCommands() throws -> [String] {
    var directory = URL(fileURLWithPath: #filePath)
    for _ in 0..<4 { directory.deleteLastPathComponent() }
    let text = try String(
      contentsOf: directory.appendingPathComponent("docs/redis-schema.md"), encoding: .utf8)
    let start = try #require(text.firstRange(of: "Commands:")?.upperBound)
    let end = try #require(text[start...].firstRange(of: ".\n")?.lowerBound)
    return text[start..<end].matches(of: /`([A-Z ]+)`/).map { String($0.1) }
  }
}
