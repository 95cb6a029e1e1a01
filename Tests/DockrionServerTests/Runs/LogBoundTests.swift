import Testing

/// `streaming.memory.max_bytes` where nothing is left that could be given up.
@Suite(.ownsMachine) struct LogBoundTests {
  private static let bound = 1 << 20
  private static let memory = "memory: {max_bytes: \(bound)}"
  private static let runs = 100
  /// The link's silence is no loss while a test looks.
  private static let patient = "command_timeout_seconds: 60, lease_seconds: 120"
  private static let pause = #""emit":[{"type":"sleep","ms":3000}]"#

  private static func start(_ count: Int, on server: ServerProcess, _ body: String) throws -> [String] {
    try (0..<count).map { _ in try server.startRun(body) }
  }

  private static func bytes(_ server: ServerProcess) throws -> Int {
    Int(try server.metrics().sum("dockrion_log_bytes"))
  }

  private static func failures(_ server: ServerProcess) throws -> Int {
    Int(try server.metrics().sum("dockrion_runs_total", ["status": "failed"]))
  }

  /// How often the log tells of each run's end with that code.
  private static func told(_ server: ServerProcess, of runs: [String]) -> [Int] {
    let lines = server.errorOutput.split(separator: "\n").filter { $0.contains("BACKEND_UNAVAILABLE") }
    return runs.map { run in lines.filter { $0.contains(" error ") && $0.contains(run) }.count }
  }

  private static func expectRefusal(_ refused: Response) throws {
    #expect(refused.status == 429, "\(refused.text)")
    #expect(try refused.errorCode() == "TOO_MANY_RUNS")
    #expect((refused["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
    #expect(refused.text.contains("streaming.memory.max_bytes") && refused.text.contains("\(bound)"))
  }

  @Test func inMemoryARunThatGrowsIsEndedWhenOthersHoldAllTheRoom() throws {
    try withServer(dockfile("scripted", "streaming: {\(Self.memory)}")) { server throws in
      let runs = try Self.start(
        Self.runs, on: server, #"{\#(Self.pause),"tokens":1,"token_bytes":30000,"hang":true}"#)
      let streams = try runs.map { try server.subscribe(to: $0) }
      var most = 0
      let isOver = try eventually(within: 20) {
        most = max(most, try Self.bytes(server))
        return try server.activeRuns < 40
          && server.metrics().sum("dockrion_events_total", ["type": "token"]) >= 100
      }
      let left = try server.activeRuns
      #expect(isOver, "\(left) agents still run")
      #expect(most <= Self.bound, "\(most) bytes")
      let running = try server.activeRuns
      #expect(running > 10)
      #expect(try Self.failures(server) == Self.runs - running)
      let told = Self.told(server, of: runs)
      #expect(told.filter { $0 == 1 }.count == Self.runs - running)
      for (lines, stream) in zip(told, streams) where lines > 0 {
        let last = try #require(try stream.remainingEvents().last)
        #expect(try last.json()["code"] == "BACKEND_UNAVAILABLE")
        #expect(last.data.contains("streaming.memory.max_bytes"))
      }

      var refused: Response?
      for _ in 0..<400 where refused == nil {
        let reply = try server.post("/runs", #"{"tokens":0,"hang":true}"#)
        if reply.status != 202 { refused = reply }
      }
      try Self.expectRefusal(#require(refused))
      #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200, "what keeps nothing goes on")
      #expect(try server.invokeStream(#"{"tokens":1}"#).remainingEvents().last?.type == "complete")
      #expect(try Self.bytes(server) <= Self.bound)
      for run in runs { _ = try server.request("DELETE", "/runs/\(run)") }
      #expect(try server.post("/runs", "{}").status == 202)
    }
  }

  @Test func withRedisAwayRunsThatGrowAreEndedAndWrittenLater() throws {
    let redis = try RedisProcess()
    let instances = try Instances(
      1, on: redis, redisDockfile(redis.url, redis: Self.patient, streaming: Self.memory))
    let link = try RedisLink(to: redis.port)
    let server = try instances.add(through: link)
    try instances.waitUntilReady()
    let quiet = try server.startRun(#"{"tokens":1,"hang":true}"#)
    let runs = try Self.start(
      Self.runs, on: server, #"{\#(Self.pause),"tokens":200,"token_bytes":20000,"interval_ms":5}"#)
    let resident = server.residentBytes
    link.hold([.commands, .answers])
    var most = 0
    let isOver = try eventually(within: 20) {
      most = max(most, try Self.bytes(server))
      return try server.activeRuns == 1
    }
    let left = try server.activeRuns
    #expect(isOver, "\(left) agents still run")
    print("at most \(most) bytes")
    #expect(most <= Self.bound + Self.runs * 1024, "\(most) bytes")
    #expect(server.residentBytes - resident < 100 << 20)
    try Self.expectRefusal(server.post("/runs", "{}"))
    #expect(try server.metrics().sum("dockrion_redis_pending_bytes") > Double(Self.bound) / 2)
    #expect(Self.told(server, of: runs) == runs.map { _ in 1 })
    #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)

    link.release()
    try instances.waitUntilReady()
    for run in runs {
      let record = try instances.a.waitForRun(run, status: "failed", within: 20)
      #expect(record["error"]?["code"] == "BACKEND_UNAVAILABLE")
      #expect(try redis.storedEvents(of: run).filter(\.isTerminal).count == 1)
    }
    #expect(Self.told(server, of: runs) == runs.map { _ in 1 })
    #expect(
      try eventually(within: 10) { try server.metrics().sum("dockrion_redis_pending_bytes") == 0 })
    #expect(try server.run(quiet)["status"] == "running")
    for _ in 0..<20 { _ = try server.completedRun(#"{"tokens":10,"token_bytes":20000}"#) }
    #expect(try Self.bytes(server) <= Self.bound)
  }

  @Test func withRedisAwayOutputsThatDoNotFitAreFailures() throws {
    let redis = try RedisProcess()
    let instances = try Instances(
      1, on: redis, redisDockfile(redis.url, redis: Self.patient, streaming: Self.memory))
    let link = try RedisLink(to: redis.port)
    let server = try instances.add(through: link)
    try instances.waitUntilReady()
    let text = String(repeating: "x", count: 400_000)
    let runs = try Self.start(
      10, on: server, #"{\#(Self.pause),"tokens":0,"output":{"text":"\#(text)"}}"#)
    link.hold([.commands, .answers])
    #expect(try eventually(within: 20) { try server.activeRuns == 0 })
    #expect(try Self.bytes(server) <= Self.bound + 10 * 1024)
    link.release()
    try instances.waitUntilReady()
    let isOver = try eventually(within: 20) {
      try runs.allSatisfy { ["completed", "failed"].contains(try instances.a.run($0)["status"]?.string) }
    }
    #expect(isOver)
    let completed = try runs.filter { try instances.a.run($0)["status"] == "completed" }
    #expect(completed.count == 2)
    #expect(Self.told(server, of: runs).filter { $0 == 1 }.count == 8)
  }

  /// What a run keeps for replays alone is given up before anybody is refused.
  @Test(arguments: Backend.allCases)
  func aRunThatFillsTheRoomKeepsNobodyOut(_ backend: Backend) throws {
    let redis = backend == .redis ? try RedisProcess() : nil
    let text =
      redis.map { redisDockfile($0.url, streaming: Self.memory) }
      ?? dockfile("scripted", "streaming: {\(Self.memory)}")
    try withServer(text) { server throws in
      #expect(try eventually(within: 10) { try server.get("/ready").status == 200 })
      let large = try server.startRun(#"{"tokens":400,"token_bytes":5000,"interval_ms":1,"hang":true}"#)
      #expect(
        try eventually(within: 20) {
          try server.metrics().sum("dockrion_events_total", ["type": "token"]) == 400
        })
      for _ in 0..<30 {
        _ = try server.completedRun(#"{"tokens":4,"token_bytes":8000}"#)
        #expect(try Self.bytes(server) <= Self.bound)
      }
      #expect(try server.run(large)["status"] == "running")
      #expect(try Self.failures(server) == 0)
    }
    withExtendedLifetime(redis) {}
  }

  @Test func thePayloadOfARunThatRedisHasNotConfirmedCounts() throws {
    let redis = try RedisProcess()
    let text = redisDockfile(
      redis.url, redis: "command_timeout_seconds: 1, connect_timeout_seconds: 1")
    let instances = try Instances(1, on: redis, text)
    let link = try RedisLink(to: redis.port)
    let server = try instances.add(through: link)
    try instances.waitUntilReady()
    link.holdAnswersOnTrigger()
    let body = #"{"tokens":0,"output":{"text":"\#(String(repeating: "x", count: 200_000))"}}"#
    let key = ["Idempotency-Key: k"]
    #expect(try server.post("/runs", body, headers: key).status == 503)
    #expect(try server.metrics().sum("dockrion_payload_bytes") >= 200_000)
    let repeated = try instances.a.post("/runs", body, headers: key)
    let run = try #require(try repeated.json()["run_id"]?.string)
    link.release()
    _ = try instances.a.waitForRun(run, status: "completed", within: 20)
    #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_payload_bytes") == 0 })
  }
}
