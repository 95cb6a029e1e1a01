import Foundation
import Testing

private func request(_ path: String, _ body: String) -> String { requestText("POST", path, body: body) }

/// What a client has of a stream: its numbered events' sequences, in the order of arrival.
private func sequences(_ body: [UInt8]) throws -> [Int] {
  var parser = FrameParser()
  return try parser.feed(body, arrival: 0).compactMap { $0.event?.sequence }
}

/// Makes the server open what it keeps open, such as the descriptors behind Dispatch's timers.
private func warmUp(_ server: ServerProcess) throws {
  let before = try server.connect()
  let streams = try (0..<8).map { _ in try server.invokeStream(#"{"tokens":3,"interval_ms":20}"#) }
  for stream in streams { _ = try stream.remainingEvents() }
  before.close()
  for stream in streams { stream.connection.close() }
  #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_connections") == 1 })
}

@Suite(.ownsMachine) struct ManyStreamTests {
  @Test func aThousandStreamsFinishInTimeAndLoseNothing() throws {
    try withServer(dockfile("scripted")) { server in
      let body = #"{"tokens":20,"interval_ms":50}"#
      let streams = ManyStreams(
        to: server.port, requests: Array(repeating: request("/invoke/stream", body), count: 1000))
      let began = monotonicNanoseconds()
      try streams.run(within: 20) { streams.endedCount == 1000 }
      let took = seconds(since: began)
      for body in try streams.bodies() { #expect(try sequences(body) == Array(1...22)) }
      print("1,000 streams of 20 tokens, 50 ms apart: \(took) s")
      #expect(took < 4)
    }
  }

  @Test func heldStreamsCostLittleMemoryAndFewThreads() throws {
    try withServer(dockfile("scripted")) { server in
      try warmUp(server)
      let count = 2000
      let (memory, descriptors) = (server.residentBytes, server.descriptorCount)
      let streams = ManyStreams(
        to: server.port,
        requests: Array(repeating: request("/invoke/stream", #"{"tokens":0,"hang":true}"#), count: count))
      try streams.run(within: 20) { streams.answeredCount == count }
      let each = Double(server.residentBytes - memory) / Double(count) / 1024
      print("\(count) held streams: \(each) KiB each, \(server.threadCount) threads")
      #expect(each < 12)
      #expect(server.threadCount < 40)
      #expect(server.descriptorCount >= descriptors + count)
      streams.closeAll()
      #expect(try eventually(within: 20) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(eventually(within: 10) { server.descriptorCount <= descriptors })
    }
  }

  @Test func subscribersJoiningAtAnyMomentSeeEveryEventOnce() throws {
    try withServer(dockfile("scripted")) { server in
      let id = try server.startRun(#"{"tokens":900,"interval_ms":1}"#)
      let delays = (0..<40).map { _ in Double.random(in: 0...1.2) }.sorted()
      let streams = ManyStreams(
        to: server.port,
        requests: Array(repeating: requestText("GET", "/runs/\(id)/events"), count: 40), delays: delays)
      try streams.run(within: 30) { streams.endedCount == 40 }
      let bodies = try streams.bodies()
      for body in bodies { #expect(try sequences(body) == Array(1...902)) }
      #expect(Set(bodies).count == 1)
    }
  }

  @Test func vanishedClientsLeaveNothingBehind() throws {
    let sections = "streaming: {events: {heartbeat_interval: 1}}\n"
    try withServer(dockfile("scripted", sections)) { server in
      try warmUp(server)
      let descriptors = server.descriptorCount
      let silent = request("/invoke/stream", #"{"tokens":0,"hang":true}"#)
      let busy = request("/invoke/stream", #"{"tokens":100000,"token_bytes":500}"#)
      for index in 0..<500 {
        let halfHead = try server.connect()
        try halfHead.send(String(silent.prefix(40)))
        let unread = try server.connect()
        try unread.send(silent)
        let quiet = try EventStream(on: server.connect(), request: silent)
        _ = try quiet.event()
        let talking = try EventStream(on: server.connect(), request: busy)
        _ = try talking.event()
        for connection in [halfHead, unread, quiet.connection, talking.connection] {
          if index % 3 == 0 { connection.reset() } else { connection.close() }
        }
      }
      #expect(try eventually(within: 20) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(try server.metrics().sum("dockrion_open_streams") == 0)
      #expect(eventually(within: 20) { server.descriptorCount <= descriptors })
      #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
    }
  }

  @Test func aRunGoesOnWithoutItsSubscribers() throws {
    try withServer(dockfile("scripted")) { server in
      let id = try server.startRun(#"{"tokens":50,"interval_ms":10}"#)
      let stream = try server.subscribe(to: id)
      _ = try stream.event()
      stream.connection.reset()
      let run = try server.waitForRun(id, status: "completed")
      #expect(run["last_sequence"]?.int == 52)
    }
  }

  @Test func blockedAgentsStallNobody() throws {
    try withServer(dockfile("scripted")) { server in
      for _ in 0..<8 { _ = try server.startRun(#"{"tokens":0,"block_ms":2000}"#) }
      let began = monotonicNanoseconds()
      #expect(try server.post("/invoke", #"{"tokens":5,"interval_ms":1}"#).status == 200)
      #expect(seconds(since: began) < 0.5)
    }
  }
}
