import Foundation
import Testing

/// Redis that dies, hangs, forgets, or was never there.
@Suite(.onlyWaits) struct RedisAwayTests {
  private static let durable = RedisProcess.Options(appendOnly: .always)
  private static let impatient = "command_timeout_seconds: 1, connect_timeout_seconds: 1"

  @Test func aRedisThatIsKilledAndRestartedLeavesNoHoleAndNoDouble() throws {
    try withInstances(options: Self.durable) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let run = try a.startRun(#"{"tokens":1500,"interval_ms":2}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for events in [200, 600] {
        for _ in 0..<events { _ = try onB.event(within: 20) }
        redis.kill()
        usleep(200_000)
        try redis.start()
      }
      let rest = try onB.remainingEvents(within: 20)
      #expect(rest.last?.type == "complete" && rest.last?.sequence == 1502)
      _ = try onA.remainingEvents(within: 20)
      try expectTheSameEverywhere(instances, run, onA, onB, count: 1502)
      #expect(try a.run(run) == b.run(run))
      #expect(try b.run(run)["status"] == "completed")
    }
  }

  @Test func aRunThatEndsWhileRedisIsAwayIsCompletedAfterwards() throws {
    try withInstances(options: Self.durable) { instances throws in
      let (a, b) = (instances.a, instances.b)
      let run = try a.startRun(#"{"tokens":60,"interval_ms":10,"output":{"kept":true}}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for _ in 0..<10 { _ = try onB.event() }
      instances.redis.kill()
      // The agent needs 600 ms.
      usleep(1_500_000)
      try instances.redis.start()
      #expect(try b.waitForRun(run, status: "completed", within: 15)["output"] == ["kept": true])
      _ = try (onA.remainingEvents(within: 15), onB.remainingEvents(within: 15))
      try expectTheSameEverywhere(instances, run, onA, onB, count: 62)
    }
  }

  /// Every lease lapses while Redis is away, but no server has died.
  @Test func anAbsenceLongerThanTheLeaseEndsNoRun() throws {
    try withInstances(options: Self.durable, redis: "lease_seconds: 2") { instances throws in
      let (a, b) = (instances.a, instances.b)
      let run = try a.startRun(#"{"tokens":600,"interval_ms":10}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for _ in 0..<20 { _ = try onB.event() }
      instances.redis.kill()
      usleep(3_500_000)
      try instances.redis.start()
      _ = try (onA.remainingEvents(within: 20), onB.remainingEvents(within: 20))
      try expectTheSameEverywhere(instances, run, onA, onB, count: 602)
      #expect(try b.run(run)["status"] == "completed")
    }
  }

  @Test func whileRedisIsAwayWhatRunsGoesOnAndNewRunsAreRefused() throws {
    try withInstances(options: Self.durable) { instances throws in
      let (a, b) = (instances.a, instances.b)
      let run = try a.startRun(#"{"tokens":4000,"interval_ms":5}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<20 { _ = try subscriber.event() } }
      instances.redis.kill()
      for server in [a, b] {
        var refused: Response?
        let turned = try eventually(within: 8) {
          refused = try server.post("/runs", #"{"tokens":1}"#)
          return refused?.status == 503
        }
        #expect(turned, "\(refused?.text ?? "")")
        #expect(try refused?.errorCode() == "BACKEND_UNAVAILABLE")
        #expect((refused?["Retry-After"].flatMap { Int($0) } ?? 0) >= 1)
        let notReady = try eventually(within: 8) { try server.get("/ready").status == 503 }
        #expect(notReady)
        let ready = try server.get("/ready")
        #expect(try ready.errorCode() == "NOT_READY")
        #expect(ready["Retry-After"] != nil)
        #expect(try server.get("/health").status == 200)
        #expect(try server.get("/metrics").status == 200)
        #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
        let direct = try server.invokeStream(#"{"tokens":50}"#, headers: ["X-Request-Id: r"])
          .remainingEvents()
        expectWholeStream(direct, idField: "request_id", id: "r")
        #expect(direct.count == 52)
      }
      // Redis is away: these can only come from the server itself.
      let target = Int(try a.metrics().sum("dockrion_events_total", ["type": "token"])) + 50
      var reached = 0
      while reached < target, let event = try onA.event() { reached = event.sequence ?? reached }
      #expect(reached == target, "the owner's subscriber was sent no more than \(reached)")
      #expect(try a.activeRuns == 1)

      try instances.redis.start()
      try instances.waitUntilReady()
      let next = try b.completedRun(#"{"tokens":1}"#)
      #expect(try a.run(next)["status"] == "completed")
      #expect(try b.request("DELETE", "/runs/\(run)").status == 200)
      _ = try (onA.remainingEvents(), onB.remainingEvents())
      let count = try #require(try a.run(run)["last_sequence"]?.int)
      try expectTheSameEverywhere(instances, run, onA, onB, count: count)
    }
  }

  @Test func pastTheBoundOfWhatMayWaitTheRunFailsLoudly() throws {
    try withInstances(options: Self.durable, redis: "max_pending_bytes: 1MiB") { instances throws in
      let (a, b) = (instances.a, instances.b)
      let run = try a.startRun(#"{"tokens":5000,"token_bytes":2000,"interval_ms":1}"#)
      let modest = try a.startRun(#"{"tokens":400,"interval_ms":20}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<20 { _ = try subscriber.event() } }
      instances.redis.kill()
      let events = try onA.remainingEvents()
      #expect(events.filter(\.isTerminal).count == 1)
      let last = try #require(events.last)
      #expect(last.type == "error")
      #expect(try last.json()["code"] == "BACKEND_UNAVAILABLE")
      #expect(
        try eventually(within: 5) { try a.activeRuns == 1 }, "its agent runs on, or another one does not")
      #expect(
        a.warnings.contains { $0.contains(run) || $0.contains("max_pending_bytes") },
        "the log does not tell: \(a.warnings)")
      let resident = a.residentBytes
      usleep(500_000)
      #expect(a.residentBytes - resident < 8 << 20, "events gather although the run is over")

      try instances.redis.start()
      try instances.waitUntilReady()
      for server in [a, b] {
        let record = try server.waitForRun(run, status: "failed", within: 15)
        #expect(record["error"]?["code"] == "BACKEND_UNAVAILABLE")
      }
      // What waited may be lost with the run, but not in silence.
      let followed = try onB.remainingEvents(within: 15)
      #expect(followed.filter(\.isTerminal).count == 1)
      let late = try b.subscribe(to: run).remainingEvents()
      try expectEveryLossIsTold(late)
      #expect(try late.last?.json()["code"] == "BACKEND_UNAVAILABLE")
      #expect(followed.last?.data == late.last?.data && last.data == late.last?.data)
      #expect(try instances.redis.storedEvents(of: run).filter(\.isTerminal).count == 1)
      #expect(try b.waitForRun(modest, status: "completed", within: 20)["last_sequence"] == 402)
    }
  }

  @Test func aRedisThatForgetsEverythingIsSurvived() throws {
    try withInstances(redis: "lease_seconds: 2") { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let finished = try a.completedRun("{}")
      let runs = try [a, b].map { try $0.startRun(#"{"tokens":1000,"interval_ms":2}"#) }
      let subscribers = try runs.flatMap { run in try [a, b].map { (run, try $0.subscribe(to: run)) } }
      for (_, subscriber) in subscribers { for _ in 0..<100 { _ = try subscriber.event() } }
      try redis.command("FLUSHALL")
      for (run, subscriber) in subscribers {
        let rest = try subscriber.remainingEvents(within: 12)
        #expect(rest.last?.isTerminal == true, "\(run)")
        #expect(rest.filter(\.isTerminal).count == 1)
        let sequences = rest.compactMap(\.sequence)
        #expect(sequences == sequences.sorted() && Set(sequences).count == sequences.count)
      }
      for server in [a, b] { #expect(try eventually(within: 5) { try server.activeRuns == 0 }) }
      #expect(try b.get("/runs/\(finished)").status == 404)
      try redis.command("FLUSHALL")

      let lines = [a, b].map { $0.warnings.count }
      let before = [a, b].map(\.processorSeconds)
      usleep(1_500_000)
      for (index, server) in [a, b].enumerated() {
        let used = server.processorSeconds - before[index]
        #expect(used < 0.5, "a server with nothing to do used \(used) s of 1.5")
        #expect(
          lines[index] < 100 && server.warnings.count - lines[index] < 20, "\(server.warnings.suffix(5))")
      }
      try instances.waitUntilReady()
      for (owner, other) in [(a, b), (b, a)] {
        let run = try owner.startRun(#"{"tokens":50,"interval_ms":1}"#)
        let events = try other.subscribe(to: run).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.count == 52)
      }
      usleep(2_500_000)
      let run = try a.startRun(#"{"tokens":1,"hang":true}"#)
      #expect(try b.request("DELETE", "/runs/\(run)").status == 200, "a lease was not renewed after the loss")
    }
  }

  /// Connections stay open; only the time limits of the commands tell.
  @Test func aRedisThatHangsIsGivenUpAndTakenBack() throws {
    try withInstances(redis: Self.impatient) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let run = try a.startRun(#"{"tokens":1000,"interval_ms":5}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<50 { _ = try subscriber.event() } }
      redis.pause()
      let paused = monotonicNanoseconds()
      let key = ["Idempotency-Key: k"]
      for server in [a, b] {
        // Redis stays stopped meanwhile: only the command's time limit can end the wait.
        let refused = try server.post("/runs", #"{"tokens":3}"#, headers: server === a ? key : [])
        #expect(refused.status == 503, "\(refused.text)")
        #expect(try refused.errorCode() == "BACKEND_UNAVAILABLE")
        #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
        #expect(try eventually(within: 5) { try server.get("/ready").status == 503 })
      }
      while seconds(since: paused) < 3.5 { usleep(10_000) }
      redis.resume()
      try instances.waitUntilReady()
      // Commands that were given up may have been executed on waking: the client that was refused tries again.
      let retry = try a.post("/runs", #"{"tokens":3}"#, headers: key)
      #expect(retry.status == 202, "\(retry.text)")
      let second = try #require(try retry.json()["run_id"]?.string)
      _ = try b.waitForRun(second, status: "completed")
      _ = try (onA.remainingEvents(within: 15), onB.remainingEvents(within: 15))
      try expectTheSameEverywhere(instances, run, onA, onB, count: 1002)
      let ended = try eventually(within: 20) {
        let runs = try b.get("/runs").json()["runs"]?.array ?? []
        return runs.allSatisfy { ["completed", "failed", "cancelled"].contains($0["status"]?.string) }
      }
      let runs = try b.get("/runs").text
      #expect(ended, "a run that was refused stays for ever: \(runs)")
    }
  }

  @Test func aServerStartsWithoutRedisAndWorksOnceItIsThere() throws {
    let redis = try RedisProcess()
    redis.kill()
    try withServer(redisDockfile(redis.url, redis: Self.impatient)) { server throws in
      #expect(try server.get("/health").status == 200)
      #expect(try server.get("/ready").status == 503)
      let refused = try server.post("/runs", "{}")
      #expect(refused.status == 503)
      #expect(try refused.errorCode() == "BACKEND_UNAVAILABLE")
      #expect(try server.post("/invoke", "{}").status == 200)
      // The refused requests have lines of their own.
      #expect(eventually(within: 5) { server.warnings.contains { !$0.contains("status=503") } })
      // Time for several attempts.
      usleep(2_500_000)
      let told = server.warnings.filter { !$0.contains("status=503") }
      #expect(told.count == 1, "one line tells it: \(told)")
      #expect(told.first?.contains("127.0.0.1:\(redis.port)") == true, "\(told)")
      #expect(server.processorSeconds < 2.5)
      try redis.start()
      #expect(try eventually(within: 15) { try server.get("/ready").status == 200 })
      let run = try server.completedRun("{}")
      expectWholeStream(try server.subscribe(to: run).remainingEvents(), idField: "run_id", id: run)
    }
  }

  @Test func aStopDoesNotWaitForARedisThatIsAway() throws {
    try withInstances(1) { instances throws in
      let subscriber = try instances.a.subscribe(to: instances.a.startRun(#"{"tokens":1,"hang":true}"#))
      #expect(try subscriber.events(through: "token").count == 2)
      instances.redis.kill()
      instances.a.signal(SIGTERM)
      #expect(instances.a.waitForExit(within: 12) == 0)
    }
  }

  /// What the two subscribers saw is 1…`count`, and Redis and a late subscriber have the same.
  private func expectTheSameEverywhere(
    _ instances: Instances, _ run: String, _ onA: EventStream, _ onB: EventStream, count: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    for server in instances.servers {
      let late = try server.subscribe(to: run)
      let events = try late.remainingEvents()
      expectWholeStream(events, idField: "run_id", id: run, sourceLocation: sourceLocation)
      #expect(events.count == count, sourceLocation: sourceLocation)
      #expect(
        late.bytes == onA.bytes, "the owner's subscriber saw something else", sourceLocation: sourceLocation)
      #expect(late.bytes == onB.bytes, "the follower saw something else", sourceLocation: sourceLocation)
    }
    expectSequences(
      try instances.redis.storedEvents(of: run), 1...count, sourceLocation: sourceLocation)
  }
}
