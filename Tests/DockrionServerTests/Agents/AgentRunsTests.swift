import Testing

/// Runs belong to their agents: what is found below a prefix and without one, in memory and in Redis.
@Suite(.sharesMachine) struct AgentRunsTests {
  private func ids(_ page: Response) throws -> [String] {
    try (page.json()["runs"]?.array ?? []).compactMap { $0["run_id"]?.string }
  }

  @Test(arguments: Backend.allCases) func placesCarryThePrefixOfTheStart(_ backend: Backend) throws {
    try withAgents(on: backend) { server throws in
      for prefix in ["", "/agents/support", "/agents/search"] {
        let created = try server.post(prefix + "/runs", #"{"tokens":1}"#)
        let run = try #require(created.json()["run_id"]?.string)
        #expect(created["Location"] == "\(prefix)/runs/\(run)")
        #expect(try created.json()["events_url"]?.string == "\(prefix)/runs/\(run)/events")
        #expect(try server.stream("GET", "\(prefix)/runs/\(run)/events").remainingEvents().count == 3)
      }
    }
  }

  @Test(arguments: Backend.allCases) func runsOfOthersDoNotExistBelowAPrefix(_ backend: Backend) throws {
    try withAgents(on: backend) { server throws in
      let run = try server.startRun(below: "/agents/search", #"{"tokens":1,"hang":true}"#)
      #expect(try eventually(within: 5) { try server.run(run)["last_sequence"] == 2 })
      for (method, path) in [
        ("GET", "/agents/support/runs/\(run)"), ("GET", "/agents/support/runs/\(run)/events"),
        ("DELETE", "/agents/support/runs/\(run)"), ("GET", "/agents/support/runs/none"),
        ("DELETE", "/agents/search/runs/none"), ("GET", "/agents/search/runs/none/events"),
      ] {
        let reply = try server.request(method, path)
        #expect(reply.status == 404, "\(method) \(path)")
        #expect(try reply.errorCode() == "NOT_FOUND")
        #expect(try reply.errorSentence().hasPrefix("there is no run "))
      }
      for path in ["/runs/\(run)", "/agents/search/runs/\(run)"] {
        let record = try server.get(path).json()
        #expect(record["status"] == "running" && record["agent"] == "search")
      }
    }
  }

  @Test(arguments: Backend.allCases) func eachListsItsOwn(_ backend: Backend) throws {
    try withAgents(on: backend) { server throws in
      var (support, search): ([String], [String]) = ([], [])
      for _ in 0..<3 {
        support.insert(try server.completedRun(#"{"tokens":0}"#), at: 0)
        let run = try server.startRun(below: "/agents/search", #"{"tokens":0}"#)
        _ = try server.waitForRun(run, status: "completed")
        search.insert(run, at: 0)
      }
      let all = zip(search, support).flatMap { [$0, $1] }
      #expect(try ids(server.get("/runs")) == all)
      #expect(try ids(server.get("/runs?agent=search")) == search)
      #expect(try ids(server.get("/agents/search/runs")) == search)
      #expect(try ids(server.get("/agents/search/runs?agent=search")) == search)
      #expect(try ids(server.get("/agents/support/runs?status=completed")) == support)
      #expect(try ids(server.get("/agents/support/runs?status=failed")).isEmpty)
      #expect(try ids(server.get("/runs?agent=elsewhere")).isEmpty)
      let refused = try server.get("/agents/search/runs?agent=support")
      #expect(refused.status == 400)
      #expect(try refused.errorCode() == "VALIDATION_ERROR")
      for name in ["", "a%20b", "-a", String(repeating: "a", count: 129)] {
        let wrong = try server.get("/runs?agent=\(name)")
        #expect(wrong.status == 400, "\(name)")
        #expect(try wrong.errorSentence().hasPrefix("agent: "), "\(name)")
      }
      // Page by page.
      for base in ["/runs?agent=search&", "/agents/search/runs?"] {
        var (found, cursor): ([String], String?) = ([], nil)
        repeat {
          let page = try server.get("\(base)limit=1\(cursor.map { "&cursor=\($0)" } ?? "")")
          found += try ids(page)
          cursor = try page.json()["next_cursor"]?.string
        } while cursor != nil && found.count < 10
        #expect(found == search, "\(base)")
      }
    }
  }

  @Test(arguments: Backend.allCases) func theyAreReplayedAndCancelledWithAPrefixAndWithout(_ backend: Backend)
    throws
  {
    try withAgents(on: backend) { server throws in
      for (read, cancel) in [("", "/agents/search"), ("/agents/search", "")] {
        let run = try server.startRun(below: "/agents/search", #"{"tokens":3,"hang":true}"#)
        #expect(try eventually(within: 5) { try server.run(run)["last_sequence"] == 4 })
        let replayed = try server.stream(
          "GET", "\(read)/runs/\(run)/events", headers: ["Last-Event-ID: 2"])
        #expect(try [replayed.event(), replayed.event()].map { $0?.sequence } == [3, 4])
        let cancelled = try server.request("DELETE", "\(cancel)/runs/\(run)?reason=enough")
        #expect(try cancelled.json() == ["run_id": .text(run), "status": "cancelled"])
        let rest = try replayed.remainingEvents()
        #expect(rest.map(\.type) == ["cancelled"])
        #expect(try rest[0].json()["reason"] == "enough")
        #expect(try eventually(within: 5) { try server.activeRuns == 0 })
        let filtered = try server.stream(
          "GET", "\(read)/runs/\(run)/events?from_sequence=2&events=minimal"
        ).remainingEvents()
        #expect(filtered.map(\.type) == ["cancelled"])
        let over = try server.get("\(read)/runs/\(run)/events?from_sequence=6")
        #expect(over.status == 204)
      }
    }
  }

  @Test(arguments: Backend.allCases) func aKeyBelongsToOneAgentsRequest(_ backend: Backend) throws {
    try withAgents(on: backend) { server throws in
      let (body, key) = (#"{"tokens":0}"#, ["Idempotency-Key: k"])
      let first = try server.post("/agents/search/runs", body, headers: key)
      let again = try server.post("/agents/search/runs", body, headers: key)
      #expect(first.status == 202 && again.status == 202)
      #expect(try first.json()["run_id"] == again.json()["run_id"])
      #expect(first["Location"] == again["Location"])
      let other = try server.post("/agents/support/runs", body, headers: key)
      #expect(other.status == 409)
      #expect(try other.errorCode() == "IDEMPOTENCY_KEY_REUSED")
      // The default agent's two paths are one.
      let plain = ["Idempotency-Key: p"]
      let one = try server.post("/runs", body, headers: plain).json()["run_id"]
      #expect(try server.post("/agents/support/runs", body, headers: plain).json()["run_id"] == one)
    }
  }

  @Test(arguments: Backend.allCases) func anIDIsTakenForAllAgents(_ backend: Backend) throws {
    try withAgents(on: backend) { server throws in
      #expect(try server.post("/agents/search/runs?run_id=mine", "{}").status == 202)
      #expect(try server.post("/agents/support/runs?run_id=mine", "{}").errorCode() == "RUN_EXISTS")
    }
  }
}
