import Foundation
import Testing

/// Redis comes back with less than it had: a crash without the last second, or a replica that lagged.
@Suite(.onlyWaits) struct FailoverTests {
  private static let lease = "lease_seconds: 2, connect_timeout_seconds: 1"
  private static let endless = #"{"tokens":4000,"interval_ms":5}"#

  @Test func followersAreToldTheEndOfARunThatWentBackAndLostItsOwner() throws {
    try withInstances(redis: Self.lease) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let run = try a.startRun(Self.endless)
      let followers = try [b.subscribe(to: run), b.subscribe(to: run, query: "?events=step")]
      for _ in 0..<103 { _ = try followers[0].event() }
      try redis.command("SAVE")
      for _ in 0..<99 { _ = try followers[0].event() }
      try instances.kill(a)
      redis.kill()
      try redis.start()
      let isBack = monotonicNanoseconds()
      let events = try followers[0].remainingEvents(within: 12)
      let last = try #require(events.last)
      #expect(last.type == "error")
      #expect(try last.json()["code"] == "WORKER_LOST")
      let delay = (Double(last.arrival) - Double(isBack)) / 1e9
      #expect(delay < 4, "the end comes \(delay) s after Redis is back; two leases are 4 s")
      // What it had seen since the snapshot was taken back, and it is told so.
      let end = try #require(last.sequence)
      let gap = try #require(events.dropLast().last)
      #expect(gap.type == "gap" && gap.id == nil)
      let seen = events.dropLast(2).compactMap(\.sequence).last ?? 202
      #expect(end <= seen)
      #expect(
        gap.data == #"{"run_id":"\#(run)","type":"gap","from_sequence":\#(end),"to_sequence":\#(seen)}"#)
      let narrowed = try followers[1].remainingEvents()
      #expect(narrowed.map(\.type) == ["started", "gap", "error"])
      #expect(narrowed.last?.data == last.data)

      let stored = try redis.storedEvents(of: run)
      expectSequences(stored, 1...end)
      let late = try b.subscribe(to: run)
      expectWholeStream(try late.remainingEvents(), idField: "run_id", id: run)
      for lastID in ["\(seen)", "\(end + 1)"] {
        let beyond = try b.subscribe(to: run, headers: ["Last-Event-ID: \(lastID)"]).remainingEvents()
        #expect(beyond.map(\.data) == [last.data])
      }
      #expect(try b.get("/runs/\(run)/events", headers: ["Last-Event-ID: \(end)"]).status == 204)
    }
  }

  /// The reaper's event has the sequence of the newest one that a subscriber has seen.
  @Test func anEndInThePlaceOfWhatWasSeenIsTold() throws {
    try withInstances(redis: Self.lease) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let pause = #"{"type":"sleep","ms":1000}"#
      let emit = #"[{"type":"token","content":"a"},\#(pause),{"type":"token","content":"b"}]"#
      let run = try a.startRun(#"{"emit":\#(emit),"tokens":0,"hang":true}"#)
      let follower = try b.subscribe(to: run)
      for _ in 0..<2 { _ = try follower.event() }
      try redis.command("SAVE")
      #expect(try follower.event()?.sequence == 3)
      try instances.kill(a)
      redis.kill()
      try redis.start()
      let events = try follower.remainingEvents(within: 12)
      #expect(events.map(\.type) == ["gap", "error"])
      #expect(events.first?.data.hasSuffix(#""from_sequence":3,"to_sequence":3}"#) == true)
      #expect(events.last?.sequence == 3)
    }
  }

  @Test func aRunWhoseRecordIsLostWithItsOwnerHasAnEndForItsFollowers() throws {
    try withInstances(redis: Self.lease) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      try redis.command("SAVE")
      let run = try a.startRun(Self.endless)
      let follower = try b.subscribe(to: run)
      for _ in 0..<50 { _ = try follower.event() }
      try instances.kill(a)
      redis.kill()
      try redis.start()
      let isBack = monotonicNanoseconds()
      let last = try #require(try follower.remainingEvents(within: 12).last)
      #expect(try last.type == "error" && last.json()["code"] == "BACKEND_UNAVAILABLE")
      #expect(b.warnings.count { $0.contains(run) } == 1, "\(b.warnings)")
      #expect((Double(last.arrival) - Double(isBack)) / 1e9 < 4)
    }
  }

  @Test func anOwnerThatLivesWritesAgainWhatAReplicaLacked() throws {
    try withInstances(0, redis: Self.lease) { instances throws in
      let primary = instances.redis
      let links = try (0..<2).map { _ in try RedisLink(to: primary.port) }
      let (a, b) = (try instances.add(through: links[0]), try instances.add(through: links[1]))
      try instances.waitUntilReady()
      let replica = try RedisProcess()
      try replica.command("REPLICAOF", "127.0.0.1", "\(primary.port)")
      #expect(
        try eventually(within: 10) {
          try replica.command("INFO", "replication").text?.contains("master_link_status:up") == true
        })
      let run = try a.startRun(#"{"tokens":600,"interval_ms":5}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for _ in 0..<100 { _ = try onB.event() }
      // It lags behind for ever, and becomes the primary.
      try replica.command("REPLICAOF", "NO", "ONE")
      for _ in 0..<100 { _ = try onB.event() }
      for link in links {
        link.cut()
        link.move(to: replica.port)
      }
      usleep(100_000)
      for link in links { link.release() }
      _ = try (onA.remainingEvents(within: 15), onB.remainingEvents(within: 15))
      for server in [a, b] {
        let late = try server.subscribe(to: run)
        let events = try late.remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.count == 602)
        #expect(late.bytes == onA.bytes && late.bytes == onB.bytes)
      }
      expectSequences(try replica.storedEvents(of: run), 1...602)
    }
  }
}
