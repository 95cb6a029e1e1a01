import Testing

/// `streaming.memory.max_bytes`: what all runs together may hold.
@Suite(.sharesMachine) struct MemoryBoundTests {
  private static let bound = 1 << 20
  private static let sections = """
    streaming: {memory: {max_bytes: \(bound)}}
    runtime: {shutdown_grace_seconds: 0}
    """

  @Test func beyondTheBoundTheOldestFinishedRunsGoAndThoseThatRunStay() throws {
    try withServer(dockfile("scripted", Self.sections)) { server throws in
      let running = try (0..<3).map {
        try server.startRun(#"{"tokens":10,"token_bytes":2000,"hang":true}"#, query: "?run_id=running-\($0)")
      }
      var finished: [String] = []
      for index in 0..<20 {
        finished.append(
          try server.completedRun(#"{"tokens":10,"token_bytes":12000}"#, query: "?run_id=run-\(index)"))
        let bytes = try server.metrics().sum("dockrion_log_bytes")
        #expect(bytes > 0 && bytes <= Double(Self.bound), "after \(finished.count) runs")
      }
      let statuses = try finished.map { try server.get("/runs/\($0)").status }
      let gone = statuses.prefix { $0 == 404 }.count
      print("of \(statuses.count) runs the oldest \(gone) went")
      #expect(gone > 5 && gone < 18, "\(statuses)")
      #expect(statuses.dropFirst(gone).allSatisfy { $0 == 200 }, "the oldest go first: \(statuses)")
      for path in ["/runs/\(finished[0])", "/runs/\(finished[0])/events"] {
        #expect(try server.get(path).errorCode() == "NOT_FOUND")
      }
      #expect(try server.request("DELETE", "/runs/\(finished[0])").status == 404)

      let kept = Array(finished.dropFirst(gone))
      let listed = try server.get("/runs?limit=500").json()["runs"]?.array?.compactMap {
        $0["run_id"]?.string
      }
      #expect(listed == kept.reversed() + running.reversed())
      for id in kept {
        expectWholeStream(try server.subscribe(to: id).remainingEvents(), idField: "run_id", id: id)
      }
      for id in running {
        #expect(try server.run(id)["status"] == "running")
        #expect(try server.request("DELETE", "/runs/\(id)").status == 200)
        let events = try server.subscribe(to: id).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: id)
        #expect(events.count == 12, "a run that runs loses nothing to others")
      }
    }
  }

  @Test func aRunThatAloneOutgrowsTheBoundLosesItsOldestEventsAndSaysSo() throws {
    try withServer(dockfile("scripted", Self.sections)) { server throws in
      let other = try server.startRun(#"{"tokens":10,"token_bytes":1000,"hang":true}"#)
      let id = try server.startRun(#"{"tokens":100,"token_bytes":30000,"interval_ms":2}"#)
      var most = 0.0
      let ended = try eventually(within: 20) {
        most = max(most, try server.metrics().sum("dockrion_log_bytes"))
        return try server.run(id)["status"] == "completed"
      }
      #expect(ended)
      #expect(most > Double(Self.bound) / 2 && most <= Double(Self.bound), "\(most)")
      let events = try server.subscribe(to: id).remainingEvents()
      let gap = try #require(events.first)
      #expect(gap.type == "gap")
      #expect(try gap.json()["from_sequence"] == 1)
      let first = try #require(try gap.json()["to_sequence"]?.int) + 1
      #expect(first > 50)
      expectWholeStream(Array(events.dropFirst()), idField: "run_id", id: id, from: first)
      #expect(events.last?.sequence == 102)
      #expect(try server.run(other)["status"] == "running")
    }
  }

  @Test func runsThatComeAndGoLeaveNoMemoryBehind() throws {
    try withServer(dockfile("scripted", Self.sections)) { server throws in
      func visit() throws {
        for _ in 0..<15 { _ = try server.completedRun(#"{"tokens":10,"token_bytes":20000}"#) }
      }
      try visit()
      let settled = server.residentBytes
      try visit()
      let growth = server.residentBytes - settled
      print("after 15 more runs of 200 KB: \(growth / 1024) KiB more resident memory")
      #expect(growth < Self.bound)
    }
  }

  @Test func aRunWhoseOutputAloneIsLargerThanTheBoundDoesNotStandAboveIt() throws {
    let smallest =
      "streaming: {memory: {max_bytes: 1MiB}}\nruntime: {max_body_bytes: 4MiB, shutdown_grace_seconds: 0}"
    try withServer(dockfile("scripted", smallest)) { server throws in
      let text = String(repeating: "x", count: 1_500_000)
      let id = try server.startRun(#"{"tokens":0,"output":{"text":"\#(text)"}}"#)
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      let status = try server.get("/runs/\(id)").status
      let bytes = try server.metrics().sum("dockrion_log_bytes")
      #expect(bytes <= Double(1 << 20), "\(Int(bytes)) bytes; the run answers \(status)")
    }
  }
}
