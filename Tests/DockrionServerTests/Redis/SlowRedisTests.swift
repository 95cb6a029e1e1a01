import Foundation
import Testing

/// A Redis that is far away.
@Suite(.onlyWaits) struct SlowRedisTests {
  @Test func aDeadOwnerIsNoticedAcrossALongRoundTrip() throws {
    try withInstances(0, redis: "lease_seconds: 10") { instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let (a, b) = (try instances.add(), try instances.add(through: link))
      try instances.waitUntilReady()
      link.delayAnswers(milliseconds: 600)
      let run = try a.startRun(#"{"tokens":3,"hang":true}"#)
      let follower = try b.subscribe(to: run)
      for _ in 0..<4 { _ = try follower.event() }
      // Its lease was renewed across that link too.
      usleep(4_000_000)
      try instances.kill(a)
      let killed = monotonicNanoseconds()
      let last = try #require(try follower.remainingEvents(within: 25).last)
      #expect(try last.type == "error" && last.json()["code"] == "WORKER_LOST")
      let delay = (Double(last.arrival) - Double(killed)) / 1e9
      #expect(delay < 10 + 4 * 0.6, "a lease and four round trips")
      #expect(!b.warnings.contains { $0.contains("lease_seconds") }, "\(b.warnings)")
    }
  }

  @Test func aRedisTooSlowForItsLeasesIsTold() throws {
    try withInstances(0, redis: "lease_seconds: 2") { instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let (a, b) = (try instances.add(), try instances.add(through: link))
      try instances.waitUntilReady()
      let run = try a.startRun(#"{"tokens":3,"hang":true}"#)
      link.delayAnswers(milliseconds: 1200)
      let told = eventually(within: 15) {
        b.warnings.contains { $0.contains("lease_seconds") && $0.contains(/\d\.\d s/) }
      }
      #expect(told, "\(b.warnings)")
      usleep(4_000_000)
      #expect(b.warnings.count { $0.contains("lease_seconds") } == 1, "\(b.warnings)")
      #expect(try a.run(run)["status"] == "running", "a living server's run was ended")
    }
  }
}
