import Foundation
import Testing

/// A record whose making was not confirmed: its server told its client that there is no run, but others have seen it.
@Suite(.onlyWaits) struct PendingRunTests {
  private static let impatient = "command_timeout_seconds: 1, connect_timeout_seconds: 1"
  private static let key = ["Idempotency-Key: order-7"]

  @Test func aRunThatARepeatedRequestWasAnsweredWithIsExecuted() throws {
    try withPendingRun(headers: Self.key) { instances, link throws in
      let (a, b) = (instances.a, instances.b)
      let repeated = try b.post("/runs", #"{"tokens":3}"#, headers: Self.key)
      #expect(repeated.status == 202, "\(repeated.text)")
      let run = try #require(try repeated.json()["run_id"]?.string)
      let follower = try b.subscribe(to: run)
      link.release()
      let record = try b.waitForRun(run, status: "completed", within: 15)
      #expect(record["last_sequence"] == 5)
      let events = try follower.remainingEvents()
      expectWholeStream(events, idField: "run_id", id: run)
      #expect(events.count == 5)
      #expect(try a.run(run) == b.run(run))
      let listed = try b.get("/runs").json()["runs"]?.array ?? []
      #expect(listed.map { $0["run_id"]?.string } == [run])
      #expect(try a.post("/runs", #"{"tokens":3}"#, headers: Self.key).json()["run_id"]?.string == run)
    }
  }

  @Test func aRunWhoseIdWasCalledTakenIsExecuted() throws {
    try withPendingRun("?run_id=mine") { instances, link throws in
      let refused = try instances.b.post("/runs?run_id=mine", #"{"tokens":3}"#)
      #expect(refused.status == 409)
      #expect(try refused.errorCode() == "RUN_EXISTS")
      link.release()
      let record = try instances.b.waitForRun("mine", status: "completed", within: 15)
      #expect(record["last_sequence"] == 5)
    }
  }

  @Test(arguments: ["show", "list", "subscribe"])
  func aRunThatWasShownIsExecuted(_ how: String) throws {
    try withPendingRun("?run_id=mine") { instances, link throws in
      let b = instances.b
      var stream: EventStream?
      switch how {
      case "show": #expect(try b.run("mine")["status"] == "accepted")
      case "list":
        // Only an owner that goes on lists its run.
        try instances.redis.command("ZADD", "dockrion:runs", "1", "mine")
        #expect(try b.get("/runs").json()["runs"]?.array?.first?["run_id"] == "mine")
      default: stream = try b.subscribe(to: "mine")
      }
      link.release()
      #expect(try b.waitForRun("mine", status: "completed", within: 15)["last_sequence"] == 5)
      if let stream { #expect(try stream.remainingEvents().map(\.sequence) == [1, 2, 3, 4, 5]) }
    }
  }

  @Test func aRunThatWasToldOfFailsWhereItsServerHasNoRoomForIt() throws {
    try withPendingRun("?run_id=mine", runtime: "max_concurrent_runs: 1") { instances, link throws in
      #expect(try instances.b.post("/runs?run_id=mine", "{}").status == 409)
      let busy = try instances.a.invokeStream(#"{"tokens":0,"hang":true}"#)
      #expect(try busy.event()?.type == "started")
      link.release()
      let record = try instances.b.waitForRun("mine", status: "failed", within: 15)
      #expect(record["error"]?["code"] == "BACKEND_UNAVAILABLE")
      let events = try instances.b.subscribe(to: "mine").remainingEvents()
      #expect(events.map(\.type) == ["started", "error"])
      #expect(try instances.a.activeRuns == 1, "its agent was started all the same")
    }
  }

  /// The time limit counts from the request, not from the answer of Redis.
  @Test func aRunThatWaitsForRedisPastItsTimeLimitIsNeverExecuted() throws {
    let patient = "command_timeout_seconds: 60, lease_seconds: 120"
    try withInstances(
      0, redis: patient, streaming: "events: {max_run_duration: 3}"
    ) { instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let a = try instances.add(through: link)
      let b = try instances.add()
      try instances.waitUntilReady()
      link.hold(.answers)
      let connection = try a.connect()
      try connection.send(requestText("POST", "/runs?run_id=late", body: #"{"tokens":3,"hang":true}"#))
      #expect(
        try eventually(within: 10) {
          try !instances.redis.command("KEYS", "dockrion:{late}:run").texts.isEmpty
        })
      // The limit counts from the request, which came before this.
      let seen = monotonicNanoseconds()
      while seconds(since: seen) < 3.2 { usleep(10_000) }
      #expect(try a.activeRuns == 0)
      link.release()
      #expect(try connection.response(to: "POST").status == 202)
      // One that begins now ends by the same limit, and later.
      let fresh = try a.startRun(#"{"tokens":1,"hang":true}"#)
      let record = try b.waitForRun("late", status: "failed", within: 30)
      #expect(record["error"]?["code"] == "RUN_TIMEOUT")
      #expect(try b.run(fresh)["completed_at"] == .null, "it ends no sooner than one that begins now")
      let events = try b.subscribe(to: "late").remainingEvents()
      #expect(events.map(\.type) == ["started", "error"])
    }
  }

  @Test func aRunThatWasToldOfFailsWhenItsServerDies() throws {
    try withPendingRun("?run_id=mine", lease: 2) { instances, _ throws in
      #expect(try instances.b.post("/runs?run_id=mine", "{}").status == 409)
      try instances.kill(instances.a)
      let record = try instances.b.waitForRun("mine", status: "failed", within: 8)
      #expect(record["error"]?["code"] == "WORKER_LOST")
    }
  }

  @Test func aRunThatWasToldOfHasAnEndWhenItsServerStops() throws {
    try withPendingRun("?run_id=mine", lease: 2) { instances, link throws in
      #expect(try instances.b.post("/runs?run_id=mine", "{}").status == 409)
      // The answers alone are held: what the server says at its end arrives.
      instances.a.signal(SIGTERM)
      #expect(instances.a.waitForExit(within: 12) == 0)
      link.release()
      let ended = try eventually(within: 10) {
        ["failed", "cancelled", "completed"].contains(try instances.b.run("mine")["status"]?.string)
      }
      #expect(ended)
      expectWholeStream(
        try instances.b.subscribe(to: "mine").remainingEvents(), idField: "run_id", id: "mine")
    }
  }

  /// Nobody was told: its client may take the id again.
  @Test func aRunThatNobodyWasToldOfLeavesNothing() throws {
    try withPendingRun("?run_id=mine", headers: Self.key) { instances, link throws in
      link.release()
      #expect(
        try eventually(within: 10) { try instances.redis.command("KEYS", "dockrion:{*").texts.isEmpty })
      try instances.waitUntilReady()
      let again = try instances.b.post("/runs?run_id=mine", #"{"tokens":1}"#, headers: Self.key)
      #expect(again.status == 202, "\(again.text)")
      _ = try instances.b.waitForRun("mine", status: "completed")
    }
  }

  /// A makes a record, and the answer does not reach it; its client has been answered with 503.
  private func withPendingRun(
    _ query: String = "", headers: [String] = [], lease: Int = 10, runtime: String = "",
    _ body: (Instances, RedisLink) throws -> Void
  ) throws {
    try withInstances(
      0, redis: "\(Self.impatient), lease_seconds: \(lease)",
      sections: runtime.isEmpty ? "" : "runtime: {\(runtime)}"
    ) { instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let a = try instances.add(through: link)
      try instances.add()
      try instances.waitUntilReady()
      link.holdAnswersOnTrigger()
      let refused = try a.post("/runs" + query, #"{"tokens":3}"#, headers: headers)
      #expect(refused.status == 503, "\(refused.text)")
      #expect(try refused.errorCode() == "BACKEND_UNAVAILABLE")
      #expect(link.isHolding)
      try #require(try instances.redis.command("KEYS", "dockrion:{*}:run").texts.count == 1)
      try body(instances, link)
    }
  }
}
