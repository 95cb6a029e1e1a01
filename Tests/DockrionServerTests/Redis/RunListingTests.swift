import Foundation
import Testing

/// How runs are listed in Redis.
@Suite(.onlyWaits) struct RunListingTests {
  @Test func runsThatComeTogetherAreListedTogether() throws {
    let count = 40
    try withInstances(1) { instances throws in
      let (a, redis) = (instances.a, instances.redis)
      let clients = try (0..<count).map { _ in
        let client = try a.connect()
        try client.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        _ = try client.receive(until: .in(5))
        return client
      }
      try redis.command("CONFIG", "RESETSTAT")
      // All requests are there when the server looks.
      a.signal(SIGSTOP)
      for client in clients {
        try client.send("POST /runs HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n{\"tokens\":1}")
      }
      a.signal(SIGCONT)
      let completed = try eventually(within: 10) {
        try a.metrics().sum("dockrion_redis_pending_events") == 0
          && redis.command("ZCARD", "dockrion:runs").integer == count
          && a.get("/runs?status=completed&limit=100").json()["runs"]?.array?.count == count
      }
      #expect(completed)
      let owned = try redis.command("KEYS", "dockrion:owned:*").texts
      #expect(owned.isEmpty, "an end was not taken out")
      let calls = try redis.commandCalls()
      // One command for each run would be 40, one for each connection 10; a few ticks may share the requests among them.
      for name in ["sadd", "zadd", "srem"] {
        #expect((1...count / 5).contains(calls[name] ?? 0), "\(name): \(calls[name] ?? 0)")
      }
      // Each run's events go by a script of its own, or two where a tick parts them; making it needs none.
      #expect((count..<2 * count).contains(calls["evalsha"] ?? 0), "scripts: \(calls["evalsha"] ?? 0)")
    }
  }
}
