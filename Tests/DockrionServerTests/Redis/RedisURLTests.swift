import Foundation
import Testing

/// `streaming.redis`: where Redis is, who may use it, and that nobody reads the password.
@Suite(.sharesMachine) struct RedisURLTests {
  private static let password = "S3cret/pass:w@rd é%"

  @Test(arguments: [
    RedisProcess.Options(password: password), RedisProcess.Options(user: ("worker", password)),
    RedisProcess.Options(isOnSocket: true),
  ])
  func aServerFindsItsWayIn(_ options: RedisProcess.Options) throws {
    let redis = try RedisProcess(options)
    let text = dockfile("scripted", "streaming: {backend: redis, redis: {url: \"${TEST_REDIS_URL}\"}}")
    let arguments = ["--host", "127.0.0.1", "--log-level", "trace"]
    try withServer(text, environment: ["TEST_REDIS_URL": redis.url], arguments: arguments) { server throws in
      #expect(try eventually(within: 10) { try server.get("/ready").status == 200 })
      let run = try server.completedRun("{}")
      expectWholeStream(try server.subscribe(to: run).remainingEvents(), idField: "run_id", id: run)
      #expect(try redis.record(of: run)["status"] == "completed")
      redis.kill()
      #expect(try eventually(within: 10) { try server.get("/ready").status == 503 })
      try redis.start()
      #expect(try eventually(within: 15) { try server.get("/ready").status == 200 })
      expectNoPassword(
        server.output + server.errorOutput + (try server.get("/info").text)
          + (try server.get("/metrics").text))
    }
  }

  @Test func theDatabaseOfTheURLIsUsed() throws {
    let redis = try RedisProcess()
    try withServer(redisDockfile(redis.url(credentials: "", database: 3))) { server throws in
      #expect(try eventually(within: 10) { try server.get("/ready").status == 200 })
      let run = try server.completedRun("{}")
      #expect(try redis.command("EXISTS", redis.key(run, "run"), database: 3).integer == 1)
      #expect(try redis.command("KEYS", "*").array == [])
    }
  }

  @Test func aWrongPasswordIsToldWithoutShowingIt() throws {
    let redis = try RedisProcess(.init(password: "another one"))
    let url = redis.url(credentials: ":\(percentEncoded(Self.password))@")
    try withServer(redisDockfile(url)) { server throws in
      #expect(try eventually(within: 5) { try server.get("/ready").status == 503 })
      #expect(try server.post("/runs", "{}").errorCode() == "BACKEND_UNAVAILABLE")
      #expect(eventually(within: 5) { server.warnings.contains { $0.contains(/(?i)password|auth/) } })
      usleep(1_000_000)
      // Besides those of the two requests that were refused.
      let told = server.warnings.filter { !$0.contains("status=503") }
      #expect((1...2).contains(told.count), "one line tells it: \(told)")
      expectNoPassword(server.output + server.errorOutput)
    }
  }

  @Test func aMissingPasswordIsTold() throws {
    let redis = try RedisProcess(.init(password: Self.password))
    try withServer(redisDockfile(redis.url(credentials: ""))) { server throws in
      #expect(try eventually(within: 5) { try server.get("/ready").status == 503 })
      #expect(eventually(within: 5) { server.warnings.contains { $0.contains(/(?i)password|auth/) } })
    }
  }

  @Test(arguments: [
    ("rediss://:\(secret)@127.0.0.1:6379/0", "rediss"), ("http://:\(secret)@127.0.0.1:6379", "url"),
    ("redis://:\(secret)@127.0.0.1:6379/0?tls=yes", "tls"), ("redis://:\(secret)@127.0.0.1:70000/0", "url"),
    ("redis://:\(secret)@127.0.0.1:6379/first", "url"), ("redis://:\(secret)@", "url"),
    ("redis://:\(secret)%zz@127.0.0.1", "url"), ("unix://", "url"), ("", "url"),
  ])
  func anURLThatCannotBeServedIsRefusedWithItsReason(_ url: String, _ word: String) throws {
    let start = try failedStart(redisDockfile(url), arguments: ["--port", "0"])
    #expect(start.code == 1)
    #expect(start.message.contains("streaming.redis.url"), "\(start.message)")
    #expect(start.message.contains(word), "\(start.message)")
    #expect(!start.message.contains(Self.secret), "\(start.message)")
  }

  private static let secret = "hunter2secret"

  @Test(arguments: [
    ("lease_seconds", "1"), ("lease_seconds", "301"), ("stream_ttl_seconds", "59"),
    ("stream_ttl_seconds", "604801"), ("max_events_per_run", "9"), ("max_events_per_run", "100001"),
    ("connection_pool_size", "0"), ("connection_pool_size", "1001"), ("connect_timeout_seconds", "0"),
    ("command_timeout_seconds", "0"), ("max_pending_bytes", "lots"), ("key_prefix", "\"\""),
    ("key_prefix", "\"a{b}\""),
  ])
  func aValueOutOfItsRangeIsNamed(_ key: String, _ value: String) throws {
    let text = redisDockfile("redis://127.0.0.1:6379/0", redis: "\(key): \(value)")
    let start = try failedStart(text, arguments: ["--port", "0"])
    #expect(start.code == 1)
    #expect(start.message.contains("streaming.redis.\(key)"), "\(start.message)")
  }

  @Test func aBackendWithoutAnURLIsRefused() throws {
    let start = try failedStart(dockfile("echo", "streaming: {backend: redis}"), arguments: ["--port", "0"])
    #expect(start.code == 1)
    #expect(start.message.contains("streaming.redis.url"), "\(start.message)")
  }

  private func expectNoPassword(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
    for form in [Self.password, percentEncoded(Self.password), "S3cret"] where text.contains(form) {
      let line = text.split(separator: "\n").first { $0.contains(form) } ?? ""
      Issue.record("the password is shown: \(line)", sourceLocation: sourceLocation)
      return
    }
  }
}
