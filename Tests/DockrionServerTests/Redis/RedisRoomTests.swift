import Foundation
import Testing

/// `streaming.memory.max_bytes` of servers that have Redis.
@Suite(.ownsMachine) struct RedisRoomTests {
  private static let patient = "command_timeout_seconds: 60, lease_seconds: 120"

  @Test func whileRedisIsAwayThoseFailThatTakeMoreThanTheirShare() throws {
    let bound = 16 << 20
    try withInstances(0, redis: Self.patient, streaming: "memory: {max_bytes: \(bound)}") {
      instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let server = try instances.add(through: link)
      try instances.waitUntilReady()
      let pause = #""emit":[{"type":"sleep","ms":1000}]"#
      // Each takes less than 64 KiB, all together less than the sixteenth that is theirs.
      let modest = try (0..<10).map { _ in
        try server.startRun(#"{\#(pause),"tokens":100,"interval_ms":30}"#)
      }
      let greedy = try (0..<4).map { _ in
        try server.startRun(#"{\#(pause),"tokens":4000,"token_bytes":20000,"interval_ms":1}"#)
      }
      link.hold([.commands, .answers])
      #expect(try eventually(within: 40) { try server.activeRuns == 0 })
      let bytes = Int(try server.metrics().sum("dockrion_log_bytes"))
      #expect(bytes <= bound)
      link.release()
      try instances.waitUntilReady()
      let isOver = try eventually(within: 30) {
        try (greedy + modest).allSatisfy { run in
          ["completed", "failed"].contains(try server.run(run)["status"]?.string)
        }
      }
      #expect(isOver)
      let codes = try greedy.map { try server.run($0)["error"]?["code"]?.string }
      #expect(codes == greedy.map { _ in "BACKEND_UNAVAILABLE" })
      let records = try modest.map { try server.run($0) }
      #expect(records.map { $0["status"]?.string } == modest.map { _ in "completed" })
      #expect(records.map { $0["last_sequence"]?.int } == modest.map { _ in 102 })
    }
  }

  /// Redis has them at once, so they need not be kept.
  @Test func outputsOfMoreThanTheBoundAreStored() throws {
    try withInstances(
      1, streaming: "memory: {max_bytes: 1MiB}",
      sections: "runtime: {max_body_bytes: 4MiB, shutdown_grace_seconds: 0}"
    ) { instances throws in
      for bytes in Array(repeating: 150_000, count: 20) + [2_000_000, 2_500_000] {
        let text = String(repeating: "x", count: bytes)
        let run = try instances.a.completedRun(#"{"tokens":1,"output":{"text":"\#(text)"}}"#)
        #expect(try instances.a.run(run)["output"]?["text"]?.string?.count == bytes)
      }
      _ = try instances.a.completedRun(#"{"tokens":1}"#)
      #expect(try instances.a.metrics().sum("dockrion_log_bytes") <= Double(1 << 20))
    }
  }

  /// What a follower reads at once is bounded in bytes.
  @Test func followersOfLargeRunsStaySmall() throws {
    try withInstances(1) { instances throws in
      let runs = try (0..<3).map { _ in
        try instances.a.startRun(#"{"tokens":100,"token_bytes":300000,"interval_ms":1}"#)
      }
      for run in runs { _ = try instances.a.waitForRun(run, status: "completed", within: 60) }
      let stored = runs.count * 100 * 300_000
      try withServer(
        redisDockfile(
          instances.redis.url, redis: "max_events_per_run: 100000", streaming: "memory: {max_bytes: 1MiB}")
      ) { small throws in
        try instances.waitUntilReady()
        #expect(try eventually(within: 15) { try small.get("/ready").status == 200 })
        let before = small.residentBytes
        let streams = try runs.map { try small.subscribe(to: $0) }
        for stream in streams {
          let events = try stream.remainingEvents(within: 60)
          #expect(events.last?.type == "complete")
        }
        let more = small.residentBytes - before
        print("followers of \(stored) bytes: \(more) bytes more")
        #expect(more < stored / 2)
        #expect(try small.metrics().sum("dockrion_log_bytes") <= Double(1 << 20))
      }
    }
  }
}
