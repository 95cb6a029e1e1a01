import Foundation
import Testing

/// What all clients together may make the server hold.
@Suite(.ownsMachine) struct BufferBoundTests {
  private static let bound = dockfile(
    "scripted", "runtime: {max_buffered_bytes: 32MiB, max_body_bytes: 12MiB}")

  @Test func repliesThatNobodyReadsStayUnderTheBound() throws {
    try withServer(Self.bound) { server throws in
      let id = try server.completedRun(
        #"{"tokens":0,"output":{"text":"\#(String(repeating: "x", count: 11_000_000))"}}"#)
      let reader = try server.invokeStream(#"{"tokens":200,"interval_ms":10}"#)
      var silent: [Connection] = []
      for _ in 0..<15 {
        let connection = try server.connect(receiveBuffer: 4096)
        try connection.send(requestText("GET", "/runs/\(id)"))
        silent.append(connection)
      }
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_overflows_total") > 0 })
      #expect(try server.metrics().sum("dockrion_buffered_bytes") <= Double(32 << 20))
      #expect(server.errorOutput.contains("runtime.max_buffered_bytes"))
      expectWholeStream(
        try reader.remainingEvents(within: 20), idField: "request_id",
        id: reader.head["X-Request-Id"] ?? "none")
      #expect(try server.get("/runs/\(id)").status == 200, "who reads is served")
      withExtendedLifetime(silent) {}
    }
  }

  @Test func halfSentBodiesStayUnderTheBound() throws {
    try withServer(Self.bound) { server throws in
      let before = server.residentBytes
      var halves: [Connection] = []
      for _ in 0..<60 {
        let connection = try server.connect()
        try connection.send(
          "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n"
        )
        do { try connection.send([UInt8](repeating: 32, count: 1_900_000), within: 2) } catch {}
        halves.append(connection)
      }
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_overflows_total") > 0 })
      #expect(try server.metrics().sum("dockrion_buffered_bytes") <= Double(32 << 20))
      #expect(server.residentBytes - before < 100 << 20)
      for connection in halves { connection.close() }
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_buffered_bytes") < 10_000 })
    }
  }

  @Test func aLargeBodyIsParsedBesideTheLoop() throws {
    try withServer(dockfile("scripted")) { server throws in
      // Half a million numbers take a parser a good part of a second in a debug build.
      let body = #"{"tokens":0,"numbers":["# + String(repeating: "1,", count: 500_000) + "1]}"
      _ = try server.get("/health")
      let connection = try server.connect()
      try connection.send(requestText("POST", "/invoke", body: body))
      var answeredMeanwhile = 0
      var worst = 0.0
      let deadline = Deadline.in(30)
      while try server.metrics().sum("dockrion_requests_total", ["route": "/invoke"]) == 0,
        !deadline.hasPassed
      {
        let start = monotonicNanoseconds()
        #expect(try server.get("/health").status == 200)
        worst = max(worst, seconds(since: start))
        answeredMeanwhile += 1
      }
      #expect(try connection.response(to: "POST", within: 30).status == 200)
      #expect(
        answeredMeanwhile > 0 && worst < 0.1, "\(answeredMeanwhile) answered, the slowest after \(worst) s")
    }
  }

  @Test func aClientThatLeavesDuringTheParseLeavesNothingBehind() throws {
    try withServer(dockfile("scripted")) { server throws in
      let descriptors = server.descriptorCount
      let body = #"{"tokens":0,"numbers":["# + String(repeating: "1,", count: 200_000) + "1]}"
      for _ in 0..<20 {
        let connection = try server.connect()
        try connection.send(requestText("POST", "/invoke/stream", body: body))
        connection.reset()
      }
      #expect(
        try eventually(within: 20) {
          let metrics = try server.metrics()
          return metrics.sum("dockrion_active_runs") == 0 && metrics.sum("dockrion_connections") == 1
        })
      #expect(eventually(within: 5) { server.descriptorCount <= descriptors })
    }
  }

  @Test func aKeyMakesOneRunAlsoWithLargeBodiesAtOnce() throws {
    try withServer(dockfile("scripted")) { server throws in
      let body = #"{"tokens":0,"numbers":["# + String(repeating: "1,", count: 100_000) + "1]}"
      let connections = try (0..<5).map { _ in try server.connect() }
      for connection in connections {
        try connection.send(requestText("POST", "/runs", headers: ["Idempotency-Key: k"], body: body))
      }
      let ids = try connections.map { try $0.response(to: "POST", within: 30).json()["run_id"]?.string }
      #expect(Set(ids).count == 1 && ids[0] != nil)
      let other = try server.post("/runs", body + " ", headers: ["Idempotency-Key: k"])
      #expect(try other.errorCode() == "IDEMPOTENCY_KEY_REUSED")
    }
  }
}
