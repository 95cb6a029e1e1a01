import Foundation
import Testing

/// Requests that no client would make, from many connections at once.
///
/// What is sent depends on the seed alone. `DOCKRION_FUZZ_SEED` repeats a run, `DOCKRION_FUZZ_SECONDS` makes it
/// longer than its 8 seconds.
@Suite(.ownsMachine) struct FuzzTests {
  private static let sections = """
    runtime: {request_timeout_seconds: 2, keep_alive_seconds: 2, stall_timeout_seconds: 2,
      shutdown_grace_seconds: 0, max_concurrent_runs: 200, max_body_bytes: 64KiB, ring_capacity: 8}
    streaming:
      events: {max_run_duration: 2, heartbeat_interval: 1}
      memory: {max_bytes: 4MiB, max_events_per_run: 100}
    expose: {cors: true}
    """

  @Test func theServerOutlivesWhateverIsSent() throws {
    let environment = ProcessInfo.processInfo.environment
    let seed = environment["DOCKRION_FUZZ_SEED"].flatMap { UInt64($0) } ?? .random(in: 1...UInt64(UInt32.max))
    let duration = environment["DOCKRION_FUZZ_SECONDS"].flatMap { Double($0) } ?? 8
    print("fuzz: DOCKRION_FUZZ_SEED=\(seed)")
    try withServer(dockfile("scripted", Self.sections)) { server throws in
      let before = server.socketCount
      let fuzzer = Fuzzer(to: server.endpoint, seed: seed)
      let deadline = Deadline.in(duration)
      var controls = 0
      while !deadline.hasPassed {
        try fuzzer.play(for: 0.5)
        // Among all that, a client that behaves gets what it asked for.
        try control(server, number: controls)
        controls += 1
      }
      fuzzer.closeAll()
      print("fuzz: \(fuzzer.summary); \(controls) controls; \(server.residentBytes >> 20) MiB resident")
      #expect(fuzzer.surprises.isEmpty, "seed \(seed): \(fuzzer.surprises.prefix(5))")
      #expect(fuzzer.statuses[200, default: 0] > 0 && fuzzer.statuses[400, default: 0] > 0)

      #expect(try server.get("/health").status == 200)
      #expect(
        try eventually(within: 10) { try server.metrics().sum("dockrion_open_streams") == 0 }, "seed \(seed)")
      #expect(
        try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 }, "seed \(seed)")
      #expect(
        eventually(within: 10) { server.socketCount <= before },
        "seed \(seed): \(server.socketCount) sockets, not \(before)")
      #expect(try server.metrics().sum("dockrion_log_bytes") <= Double(4 << 20))
      // A sanitizer keeps what has been freed.
      let isPlain = environment["ASAN_OPTIONS"] == nil && environment["TSAN_OPTIONS"] == nil
      #expect(!isPlain || server.residentBytes < 128 << 20)
      try control(server, number: controls)
    }
  }

  private func control(_ server: ServerProcess, number: Int) throws {
    let body = #"{"tokens":3,"output":{"number":\#(number)}}"#
    let invoked = try whenThereIsRoom { try server.post("/invoke", body) }
    #expect(try invoked.json()["output"]?["number"]?.int == number, "\(invoked.status) \(invoked.text)")
    let headers = ["X-Request-Id: control-\(number)"]
    let streamed = try whenThereIsRoom { try server.post("/invoke/stream", body, headers: headers) }
    var parser = FrameParser()
    let events = try parser.feed(streamed.body, arrival: 0).compactMap(\.event)
    expectWholeStream(events, idField: "request_id", id: "control-\(number)")
    #expect(events.count == 5 && parser.isBetweenFrames)
  }

  /// 429 is the right answer while hostile requests have every place; their runs end after two seconds.
  private func whenThereIsRoom(_ request: () throws -> Response) throws -> Response {
    var response: Response?
    let served = try eventually(within: 10) {
      response = try request()
      return response?.status != 429
    }
    guard served, let response else { throw ClientError("429 for 10 s") }
    return response
  }
}
