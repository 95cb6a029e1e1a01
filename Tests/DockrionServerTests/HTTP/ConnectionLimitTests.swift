import Testing

/// `runtime.max_connections`: who comes too many waits in the listener's queue.
@Suite(.sharesMachine) struct ConnectionLimitTests {
  private static func limited(to count: Int) -> String {
    dockfile("scripted", "runtime: {max_connections: \(count), shutdown_grace_seconds: 0}")
  }

  @Test func whoComesTooManyWaitsAndIsServedOnceOthersClose() throws {
    try withServer(Self.limited(to: 4)) { server throws in
      #expect(server.errorOutput.contains("at most 4 connections"), "\(server.errorOutput)")
      let stream = try server.invokeStream(
        #"{"tokens":100000,"interval_ms":10}"#, headers: ["X-Request-Id: held"])
      _ = try stream.events(through: "token")
      let watcher = try server.connect()
      func open() throws -> Double {
        try Metrics(text: watcher.request("GET", "/metrics").text).sum("dockrion_connections")
      }
      let inside = try (0..<2).map { _ in try server.connect() }
      for connection in inside { #expect(try connection.request("GET", "/health").status == 200) }
      #expect(try open() == 4)

      let outside = try (0..<3).map { _ in try server.connect() }
      for connection in outside { try connection.send(requestText("GET", "/health")) }
      // Half a second of a held stream's events, and not a byte for those who wait.
      for _ in 0..<50 { #expect(try stream.event()?.type == "token") }
      #expect(outside.allSatisfy { !$0.hasBytes })
      #expect(try open() == 4)

      inside[0].close()
      #expect(try outside[0].response(to: "GET").status == 200)
      for connection in [inside[1], outside[0]] { connection.close() }
      for connection in outside[1...] { #expect(try connection.response(to: "GET").status == 200) }
      #expect(try stream.event()?.type == "token")
      #expect(try open() == 4)
    }
  }
}
