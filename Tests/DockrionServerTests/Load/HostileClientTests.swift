import Foundation
import Testing

/// Clients that want more than their share.
@Suite(.ownsMachine) struct HostileClientTests {
  @Test func pipelinedRequestsThatNobodyReadsDoNotFillTheMemory() throws {
    try withServer(dockfile("scripted")) { server throws in
      _ = try server.get("/openapi.json")
      let before = server.residentBytes
      let connection = try server.connect(receiveBuffer: 4096)
      let flood = String(repeating: "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", count: 25_000)
      // The server stops reading, so that not all of these 25 MB can be sent.
      var sent = 0
      while sent < 25, (try? connection.send(Array(flood.utf8), within: 0.2)) != nil { sent += 1 }
      #expect(sent < 25)
      #expect(server.residentBytes - before < 16 << 20)
      // It stopped reading because nobody reads, not because it refused.
      for _ in 0..<10 { #expect(try connection.response(to: "GET").status == 200) }
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func aVanishedClientIsNoticedWhateverItSentBefore() throws {
    try withServer(dockfile("scripted")) { server throws in
      let connection = try server.connect()
      try connection.send(requestText("POST", "/invoke", body: #"{"tokens":0,"hang":true}"#))
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      do { try connection.send([UInt8](repeating: 65, count: 200_000)) } catch {}
      connection.reset()
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func aStopWaitsForBytesThatAreOnTheirWay() throws {
    let server = try ServerProcess(dockfile("scripted", "runtime: {shutdown_grace_seconds: 60}"))
    let stream = try server.invokeStream(#"{"tokens":30,"token_bytes":400000}"#, receiveBuffer: 65_536)
    _ = try stream.event()
    #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") <= 1 })
    server.signal(SIGTERM)
    let events = try stream.remainingEvents(within: 50)
    #expect(events.last?.type == "complete")
    #expect(events.last?.sequence == 32)
    #expect(server.waitForExit(within: 10) == 0)
  }

  @Test func aPageOfTheListEndsBeforeItGetsHuge() throws {
    try withServer(dockfile("scripted")) { server throws in
      let output = #"{"tokens":0,"output":{"text":"\#(String(repeating: "x", count: 300_000))"}}"#
      for _ in 0..<10 { _ = try server.completedRun(output) }
      var ids: [String] = []
      var cursor: String?
      repeat {
        let page = try server.get("/runs?limit=500" + (cursor.map { "&cursor=\($0)" } ?? ""))
        #expect(page.body.count < 2 << 20)
        let json = try page.json()
        ids += (json["runs"]?.array ?? []).compactMap { $0["run_id"]?.string }
        cursor = json["next_cursor"]?.string
      } while cursor != nil
      #expect(ids.count == 10 && Set(ids).count == 10)
    }
  }

  @Test func anEvictedRunTellsItsSlowSubscriberWhatIsGone() throws {
    try withServer(dockfile("scripted", "streaming: {memory: {max_bytes: 16MiB}}")) { server throws in
      let id = try server.startRun(#"{"tokens":32,"token_bytes":400000}"#)
      // More than any buffer of the kernel takes.
      let slow = try server.subscribe(to: id, receiveBuffer: 4096)
      _ = try server.waitForRun(id, status: "completed")
      for _ in 0..<3 { _ = try server.completedRun(#"{"tokens":32,"token_bytes":400000}"#) }
      #expect(try server.get("/runs/\(id)").status == 404)
      #expect(try server.metrics().sum("dockrion_log_bytes") <= Double(16 << 20))
      let events = try slow.remainingEvents(within: 20)
      var expected = 1
      #expect(events.contains { $0.type == "gap" }, "nothing was gone, or nobody was told")
      for event in events {
        if event.type == "gap" {
          #expect(try event.json()["from_sequence"]?.int == expected)
          expected = (try event.json()["to_sequence"]?.int ?? 0) + 1
        } else {
          #expect(event.sequence == expected)
          expected += 1
        }
      }
      #expect(events.last?.type == "complete" && expected == 35)
    }
  }

  @Test func subscriptionsOfEveryLengthEndAndCostNothingAfterwards() throws {
    try withServer(dockfile("scripted")) { server throws in
      let id = try server.startRun(#"{"tokens":0,"hang":true}"#)
      for seconds in stride(from: 1, through: 1000, by: 5) {
        let stream = try server.subscribe(to: id, query: "?timeout=\(seconds)")
        stream.connection.close()
      }
      let last = try server.subscribe(to: id, query: "?timeout=1")
      #expect(try last.remainingEvents(within: 5).map(\.type) == ["started", "timeout"])
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_open_streams") == 0 })
    }
  }
}
