import Testing

/// `runtime.request_timeout_seconds` and `keep_alive_seconds`: each counts for its own part of a connection's life.
@Suite(.onlyWaits) struct RequestTimeTests {
  @Test func aSecondRequestOnAConnectionHasAsMuchTimeAsTheFirst() throws {
    let sections = "runtime: {request_timeout_seconds: 2, keep_alive_seconds: 120, shutdown_grace_seconds: 0}"
    try withServer(dockfile("echo", sections)) { server throws in
      let connection = try server.connect()
      #expect(try connection.request("GET", "/health").status == 200)
      let start = monotonicNanoseconds()
      let closed = eventually(within: 10) {
        try? connection.send("x")
        return connection.hasEnded
      }
      #expect(closed)
      let passed = seconds(since: start)
      // No sooner either: a server that refuses these bytes would pass otherwise.
      #expect(passed > 1.5 && passed < 60, "closed after \(passed) s")
    }
  }

  @Test func aRequestThatBeginsBeforeKeepAliveIsOverIsServed() throws {
    let sections = "runtime: {request_timeout_seconds: 10, keep_alive_seconds: 1, shutdown_grace_seconds: 0}"
    try withServer(dockfile("echo", sections)) { server throws in
      let connection = try server.connect()
      #expect(try connection.request("GET", "/health").status == 200)
      let body = #"{"text":"\#(String(repeating: "a", count: 40))"}"#
      let request = Array(requestText("POST", "/invoke", body: body).utf8)
      let start = monotonicNanoseconds()
      // The whole takes two seconds, a fifth of what a request may take.
      for (index, byte) in request.enumerated() {
        _ = eventually(within: 2) { seconds(since: start) * Double(request.count) >= Double(index * 2) }
        guard !connection.hasEnded else {
          Issue.record("closed in mid-request, \(seconds(since: start)) s after its first byte")
          return
        }
        try connection.send([byte])
      }
      #expect(try connection.response(to: "POST").status == 200)
    }
  }
}
