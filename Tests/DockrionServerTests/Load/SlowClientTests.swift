import Foundation
import Testing

@Suite(.ownsMachine) struct SlowClientTests {
  @Test func aDirectClientThatStopsReadingLosesNothing() throws {
    try withServer(dockfile("scripted")) { server in
      let stream = try server.invokeStream(#"{"tokens":60000,"token_bytes":400}"#, receiveBuffer: 4096)
      _ = try stream.event()
      // The agent fills the sockets, the server's buffer and the ring, and then has to wait.
      #expect(try eventually(within: 20) { try server.metrics().sum("dockrion_ring_full_waits_total") > 0 })
      var sequence = 1
      var last = ""
      while let event = try stream.event(within: 20) {
        sequence += 1
        #expect(event.sequence == sequence)
        last = event.type
      }
      #expect(sequence == 60002)
      #expect(last == "complete")
    }
  }

  @Test func aSubscriberThatStopsReadingIsToldWhatItMissed() throws {
    let sections = "streaming: {memory: {max_events_per_run: 1000}}\n"
    try withServer(dockfile("scripted", sections)) { server in
      let id = try server.startRun(#"{"tokens":60000,"token_bytes":400,"emit":[{"type":"sleep","ms":300}]}"#)
      let slow = try server.subscribe(to: id, receiveBuffer: 4096)
      _ = try slow.event()
      let fast = try server.subscribe(to: id, query: "?events=step")
      let began = monotonicNanoseconds()
      let end = try fast.remainingEvents(within: 30)
      #expect(end.map(\.type) == ["started", "complete"])
      #expect(seconds(since: began) < 20)
      var expected = 2
      var gaps = 0
      while let event = try slow.event(within: 20) {
        if event.type == "gap" {
          gaps += 1
          let json = try event.json()
          #expect(json["from_sequence"]?.int == expected)
          expected = (json["to_sequence"]?.int ?? 0) + 1
        } else {
          #expect(event.sequence == expected)
          expected += 1
        }
      }
      #expect(gaps > 0)
      #expect(expected == 60003)
    }
  }

  @Test func aClientThatTakesNothingIsClosedAndCounted() throws {
    let sections = "runtime: {stall_timeout_seconds: 1, shutdown_grace_seconds: 0}\n"
    try withServer(dockfile("scripted", sections)) { server in
      let stream = try server.invokeStream(#"{"tokens":60000,"token_bytes":400}"#, receiveBuffer: 4096)
      _ = try stream.event()
      #expect(
        try eventually(within: 20) {
          try server.metrics().sum("dockrion_streams_closed_total", ["reason": "stalled"]) == 1
        })
      #expect(try eventually(within: 20) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func tokensArriveAsTheyAreEmitted() throws {
    try withServer(dockfile("scripted")) { server in
      let stream = try server.invokeStream(#"{"tokens":100,"interval_ms":5,"stamp":true}"#)
      let tokens = try stream.remainingEvents().filter { $0.type == "token" }
      let delays = try tokens.map { token -> Double in
        let content = try token.json()["content"]?.string ?? ""
        let stamp = UInt64(content.dropFirst(2).prefix { $0 != " " }) ?? 0
        return Double(token.arrival - stamp) / 1e6
      }.sorted()
      #expect(delays.count == 100)
      print("emit to receive: median \(delays[50]) ms, 99th percentile \(delays[98]) ms")
      #expect(delays[50] < 2)
    }
  }
}
