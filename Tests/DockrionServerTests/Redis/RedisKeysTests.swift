import Foundation
import Testing

/// What Redis holds: for other programs to read, and no more than it must.
@Suite(.sharesMachine) struct RedisKeysTests {
  @Test func aRunIsAHashAndAStreamUnderOneTag() throws {
    try withInstances { instances throws in
      let redis = instances.redis
      let run = try instances.a.startRun(#"{"tokens":3,"hang":true}"#)
      #expect(try eventually(within: 5) { try redis.record(of: run)["seq"] == "4" })
      let record = try redis.record(of: run)
      #expect(record["status"] == "running")
      let owner = try #require(record["owner"])
      #expect(try redis.command("TYPE", redis.key(run, "events")) == .text("stream"))
      let leases = try redis.command("KEYS", "dockrion:lease:*").texts
      #expect(leases.count == 2, "\(leases)")
      #expect(leases.contains("dockrion:lease:\(owner)"))
      for lease in leases { #expect((0...10).contains(try redis.secondsToLive(lease)), "\(lease)") }
      #expect(try instances.b.request("DELETE", "/runs/\(run)").status == 200)
      #expect(try eventually(within: 5) { try redis.record(of: run)["seq"] == "5" })
      #expect(try redis.record(of: run)["status"] == "cancelled")
      let seen = try instances.a.subscribe(to: run).remainingEvents()
      #expect(try redis.storedEvents(of: run).map(\.data) == seen.map(\.data))
      for key in try redis.command("KEYS", "*").texts { #expect(key.hasPrefix("dockrion:"), "\(key)") }
    }
  }

  @Test func aRunExpiresInRedisAfterItsEnd() throws {
    try withInstances(redis: "stream_ttl_seconds: 600") { instances throws in
      let redis = instances.redis
      let completed = try instances.a.completedRun("{}")
      let failed = try instances.a.startRun(#"{"fail":"x"}"#)
      _ = try instances.a.waitForRun(failed, status: "failed")
      let cancelled = try instances.a.startRun(#"{"tokens":1,"hang":true}"#)
      #expect(try instances.b.request("DELETE", "/runs/\(cancelled)").status == 200)
      for run in [completed, failed, cancelled] {
        for part in ["run", "events"] {
          var left = -2
          let expires = try eventually(within: 5) {
            left = try redis.secondsToLive(redis.key(run, part))
            return (590...600).contains(left)
          }
          #expect(expires, "\(part) of \(run) expires in \(left) s")
        }
      }
    }
  }

  @Test func aStreamIsTrimmedToTheNewestEvents() throws {
    try withInstances(redis: "max_events_per_run: 100") { instances throws in
      let run = try instances.a.completedRun(#"{"tokens":20000}"#)
      let stored = try instances.redis.storedEvents(of: run)
      #expect(stored.last?.sequence == 20_002)
      // Redis drops whole entries, and with `~` whole nodes of at most 4 KiB.
      #expect((100...3000).contains(stored.count), "\(stored.count) events are kept")
      if !stored.isEmpty { expectSequences(stored, (20_003 - stored.count)...20_002) }
    }
  }

  @Test func aStreamIsTrimmedWhileTheRunGoesOn() throws {
    try withInstances(redis: "max_events_per_run: 10") { instances throws in
      let run = try instances.a.startRun(#"{"tokens":1000,"interval_ms":1,"hang":true}"#)
      #expect(try eventually(within: 15) { try instances.b.run(run)["last_sequence"] == 1001 })
      let stored = try instances.redis.storedEvents(of: run)
      #expect((10...400).contains(stored.count), "\(stored.count) events are kept")
      #expect(stored.last?.sequence == 1001)
    }
  }

  @Test func eventsThatComeTogetherTravelTogether() throws {
    try withInstances(1) { instances throws in
      let before = try instances.redis.statistic("total_commands_processed")
      let run = try instances.a.completedRun(#"{"tokens":10000}"#)
      let commands = try instances.redis.statistic("total_commands_processed") - before
      let entries = try instances.redis.entries(of: run)
      expectSequences(entries.flatMap(\.events), 1...10_002)
      print("10,002 events: \(entries.count) entries, \(commands) commands")
      #expect(entries.count < 10_002 / 4)
      #expect(commands < 10_002)
    }
  }
}

/// A minute of waiting.
@Suite(.onlyWaits) struct RedisExpiryTests {
  @Test func nothingOfAForgottenRunStays() throws {
    try withInstances(redis: "stream_ttl_seconds: 60, lease_seconds: 2") { instances throws in
      let redis = instances.redis
      let keyed = try instances.a.post(
        "/runs?run_id=forgotten-one", "{}", headers: ["Idempotency-Key: forgotten-key"])
      #expect(keyed.status == 202)
      _ = try instances.a.waitForRun("forgotten-one", status: "completed")
      let held = try instances.a.startRun(#"{"tokens":1,"hang":true}"#)
      let dead = try instances.b.startRun(#"{"tokens":1,"hang":true}"#, query: "?run_id=forgotten-two")
      try instances.kill(instances.b)
      _ = try instances.a.waitForRun(dead, status: "failed", within: 10)
      let gone = try eventually(within: 90) {
        usleep(500_000)
        return try ["forgotten-one", "forgotten-two"].allSatisfy {
          try instances.a.get("/runs/\($0)").status == 404
        }
      }
      #expect(gone)
      let listed = try instances.a.get("/runs").json()["runs"]?.array ?? []
      #expect(listed.map { $0["run_id"]?.string } == [held])
      #expect(try instances.a.run(held)["status"] == "running", "a run longer than the retention goes on")
      #expect(try instances.a.subscribe(to: held, query: "?timeout=1").remainingEvents().first?.sequence == 1)
      var left = ""
      let clean = try eventually(within: 10) {
        left = try contents(of: redis)
        return !left.contains("forgotten")
      }
      #expect(clean, "\(left)")
      let again = try instances.a.post("/runs", "{}", headers: ["Idempotency-Key: forgotten-key"])
      #expect(again.status == 202)
    }
  }

  /// Every key with its value, in words.
  private func contents(of redis: RedisProcess) throws -> String {
    var lines: [String] = []
    for key in try redis.command("KEYS", "*").texts.sorted() {
      let value =
        switch try redis.command("TYPE", key).text {
        case "string": try redis.command("GET", key)
        case "hash": try redis.command("HGETALL", key)
        case "zset": try redis.command("ZRANGE", key, "0", "-1")
        case "set": try redis.command("SMEMBERS", key)
        case "list": try redis.command("LRANGE", key, "0", "-1")
        default: RedisValue.null
        }
      lines.append("\(key): \(value)")
    }
    return lines.joined(separator: "\n")
  }
}
