import Testing

/// Instances with different sets of agents on one Redis.
@Suite(.sharesMachine) struct AgentInstancesTests {
  private func withTwo(_ body: (_ a: ServerProcess, _ b: ServerProcess) throws -> Void) throws {
    let redis = try RedisProcess()
    func text(_ names: String...) -> String {
      agentsDockfile(names.map { "name: \($0), handler: scripted" }, redis: redis.url)
    }
    try withServer(text("support", "search")) { a throws in
      try withServer(text("billing", "support")) { b throws in
        for server in [a, b] {
          #expect(try eventually(within: 15) { try server.get("/ready").status == 200 })
        }
        try body(a, b)
      }
    }
    withExtendedLifetime(redis) {}
  }

  @Test func aRunOfAnAgentThatIsNotServedIsFollowedAndCancelledAllTheSame() throws {
    try withTwo { a, b throws in
      let run = try a.startRun(below: "/agents/search", #"{"tokens":2,"hang":true}"#)
      #expect(try eventually(within: 5) { try b.run(run)["last_sequence"] == 3 })
      #expect(try b.run(run)["agent"] == "search")
      let follower = try b.subscribe(to: run)
      #expect(try (0..<3).map { _ in try follower.event()?.type } == ["started", "token", "token"])
      #expect(try b.get("/runs?agent=search").json()["runs"]?.array?.map { $0["run_id"]?.string } == [run])
      #expect(try b.request("DELETE", "/runs/\(run)?reason=elsewhere").status == 200)
      #expect(try follower.remainingEvents().map(\.type) == ["cancelled"])
      #expect(try eventually(within: 5) { try a.activeRuns == 0 })
      for server in [a, b] { #expect(try server.run(run)["status"] == "cancelled") }
    }
  }

  @Test func belowAPrefixAnInstanceKnowsItsOwnAgentsAlone() throws {
    try withTwo { a, b throws in
      let search = try a.startRun(below: "/agents/search", #"{"tokens":0}"#)
      let support = try a.startRun(below: "/agents/support", #"{"tokens":0}"#)
      _ = try a.waitForRun(search, status: "completed")
      _ = try a.waitForRun(support, status: "completed")
      #expect(
        try b.get("/agents/search/runs/\(search)").errorSentence().contains("there is billing, support"))
      #expect(try b.get("/agents/support/runs/\(support)").json()["agent"] == "support")
      #expect(try b.get("/agents/support/runs/\(search)").status == 404)
      #expect(try b.stream("GET", "/agents/support/runs/\(support)/events").remainingEvents().count == 2)
      #expect(try b.get("/agents/billing/runs").json()["runs"] == [])
      #expect(try b.get("/runs").json()["runs"]?.array?.count == 2)
    }
  }

  /// The owner of a run is gone: another instance ends it, whether it serves its agent or not.
  @Test func aRunWhoseOwnerIsGoneIsEndedByAnInstanceThatDoesNotServeItsAgent() throws {
    let redis = try RedisProcess()
    func text(_ name: String) -> String {
      "agents:\n  - {name: \(name), handler: scripted}\n"
        + "streaming: {backend: redis, redis: {url: \"\(redis.url)\", lease_seconds: 2}}\n"
        + "runtime: {shutdown_grace_seconds: 0}\n"
    }
    try withServer(text("billing")) { b throws in
      let a = try ServerProcess(text("search"))
      #expect(try eventually(within: 15) { try a.get("/ready").status == 200 })
      let run = try a.startRun(#"{"tokens":1,"hang":true}"#)
      #expect(try eventually(within: 5) { try b.run(run)["last_sequence"] == 2 })
      let follower = try b.subscribe(to: run)
      a.signal(9)
      let events = try follower.remainingEvents(within: 20)
      #expect(events.map(\.type) == ["started", "token", "error"])
      #expect(try b.waitForRun(run, status: "failed", within: 10)["agent"] == "search")
    }
    withExtendedLifetime(redis) {}
  }
}
