import Testing

/// What the other tests here rely on.
@Suite(.onlyWaits) struct RedisProcessTests {
  @Test func whatWasWrittenIsThereAfterAKill() throws {
    let redis = try RedisProcess(.init(appendOnly: .always))
    let port = redis.port
    try redis.command("SET", "greeting", "two words\r\nand é")
    for number in 1...100 { try redis.command("RPUSH", "numbers", "\(number)") }
    redis.kill()
    #expect(throws: ClientError.self) { try redis.command("PING") }
    try redis.start()
    #expect(redis.port == port)
    #expect(try redis.command("GET", "greeting") == .text("two words\r\nand é"))
    #expect(try redis.command("LRANGE", "numbers", "0", "-1").texts == (1...100).map(String.init))
    try redis.command("FLUSHALL")
    #expect(try redis.command("KEYS", "*") == .array([]))
    #expect(try redis.command("GET", "greeting") == .null)
  }

  @Test func aPausedServerDoesNotAnswerUntilItIsResumed() throws {
    let redis = try RedisProcess()
    redis.pause()
    #expect(throws: ClientError.self) { try redis.command("PING", within: 0.2) }
    redis.resume()
    #expect(try redis.command("PING") == .text("PONG"))
  }

  @Test func aPasswordAndAUserAreAskedFor() throws {
    let options = RedisProcess.Options(password: "p \"q\" \\", user: ("worker", "w:/@é"))
    let redis = try RedisProcess(options)
    #expect(redis.url == "redis://worker:w%3A%2F%40%C3%A9@127.0.0.1:\(redis.port)/0")
    #expect(try redis.command("ACL", "WHOAMI") == .text("worker"))
    let asDefault = try RedisConnection(to: redis.endpoint, .init(password: "p \"q\" \\"), database: 3)
    #expect(try asDefault.command(["SET", "a", "b"]) == .text("OK"))
    #expect(try redis.command("GET", "a", database: 3) == .text("b"))
    #expect(throws: RedisRefusal.self) { try RedisConnection(to: redis.endpoint, .init(password: "wrong")) }
    let unknown = try RedisConnection(to: redis.endpoint, .init())
    #expect(throws: RedisRefusal.self) { try unknown.command(["PING"]) }
  }

  @Test func aUnixSocketServesToo() throws {
    let redis = try RedisProcess(.init(isOnSocket: true))
    #expect(redis.url.hasPrefix("unix:///"))
    #expect(try redis.command("PING") == .text("PONG"))
  }

  @Test func aStreamIsReadAsItIsStored() throws {
    let redis = try RedisProcess()
    func text(_ sequence: Int, _ type: String) -> String {
      "id: \(sequence)\nevent: \(type)\ndata: {\"run_id\":\"r\",\"type\":\"\(type)\",\"sequence\":\(sequence)}\n\n"
    }
    let key = redis.key("r", "events")
    #expect(key == "dockrion:{r}:events")
    try redis.command("XADD", key, "3-0", "e", text(1, "started") + text(2, "token") + text(3, "token"))
    try redis.command("XADD", key, "4-0", "e", text(4, "complete"), "n", "1")
    #expect(throws: RedisRefusal.self) { try redis.command("XADD", key, "4-0", "e", text(4, "complete")) }
    #expect(try redis.entries(of: "r").map(\.id) == ["3-0", "4-0"])
    expectSequences(try redis.storedEvents(of: "r"), 1...4)
    #expect(try redis.secondsToLive(key) == -1)
    #expect(try redis.secondsToLive("nothing") == -2)
    #expect(try redis.statistic("total_commands_processed") > 3)
    try redis.command("HSET", redis.key("r", "run"), "status", "running", "seq", "4")
    #expect(try redis.record(of: "r") == ["status": "running", "seq": "4"])
    try redis.command("XADD", key, "6-0", "e", text(5, "token"))
    #expect(throws: ClientError.self) { try redis.entries(of: "r") }
  }
}
