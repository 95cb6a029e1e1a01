import Foundation
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

  @Test func aCrowdThatArrivesAtOnceDoesNotPassTheLimit() throws {
    try withServer(Self.limited(to: 8)) { server throws in
      let watcher = try server.connect()
      #expect(try watcher.request("GET", "/health").status == 200)
      // While the server stands still its queue fills, so that it finds them all in one turn.
      server.signal(SIGSTOP)
      let crowd = try (0..<60).map { _ in try server.connect() }
      for connection in crowd { try connection.send(requestText("GET", "/health")) }
      server.signal(SIGCONT)
      var most = 0.0
      for connection in crowd {
        let text = try watcher.request("GET", "/metrics").text
        most = max(most, try Metrics(text: text).sum("dockrion_connections"))
        #expect(try connection.response(to: "GET").status == 200)
        connection.close()
      }
      #expect(most > 1 && most <= 8, "\(Int(most)) connections were open at once")
    }
  }
}
