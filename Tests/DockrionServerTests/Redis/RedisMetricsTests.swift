import Testing

/// What `/metrics` says of Redis.
@Suite(.onlyWaits) struct RedisMetricsTests {
  @Test func withoutRedisNothingIsSaidOfIt() throws {
    try withServer(dockfile("echo")) { server throws in
      let names = try server.metrics().types.keys.filter { $0.hasPrefix("dockrion_redis_") }
      #expect(names.isEmpty, "\(names)")
    }
  }

  @Test func anOutageIsSeenWithWhatWaitsForItsEnd() throws {
    try withInstances(1, options: .init(appendOnly: .always)) { instances throws in
      let (server, redis) = (instances.a, instances.redis)
      let before = try server.metrics()
      for (name, type) in [("up", "gauge"), ("reconnects_total", "counter"), ("pending_events", "gauge")] {
        #expect(before.types["dockrion_redis_\(name)"] == type)
        #expect(before.helped.contains("dockrion_redis_\(name)"))
      }
      #expect(before.sum("dockrion_redis_up") == 1)
      #expect(before.sum("dockrion_redis_reconnects_total") == 0)
      let run = try server.startRun(#"{"tokens":50,"interval_ms":2,"hang":true}"#)
      #expect(try eventually(within: 10) { try redis.record(of: run)["seq"] == "51" })
      #expect(try server.metrics().sum("dockrion_redis_pending_events") == 0)
      // Pauses, and by the end of the pause Redis is away.
      let emit = #"{"type":"sleep","ms":1000}"#
      let waiting = try server.startRun(#"{"emit":[\#(emit)],"tokens":30,"hang":true}"#)
      redis.kill()
      let seen = try eventually(within: 10) {
        let metrics = try server.metrics()
        return metrics.sum("dockrion_redis_up") == 0 && metrics.sum("dockrion_redis_pending_events") >= 30
          && metrics.sum("dockrion_redis_reconnects_total") > 0
      }
      #expect(seen)
      try redis.start()
      let isOver = try eventually(within: 15) {
        let metrics = try server.metrics()
        return metrics.sum("dockrion_redis_up") == 1 && metrics.sum("dockrion_redis_pending_events") == 0
      }
      #expect(isOver)
      #expect(try redis.record(of: waiting)["seq"] == "31")
    }
  }
}
