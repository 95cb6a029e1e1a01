import Foundation
import Testing

/// A client may ask any instance: each shows what all of them have.
@Suite(.sharesMachine) struct InstancesTests {
  @Test func subscribersOfEveryInstanceSeeTheSameBytes() throws {
    try withInstances { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let sentBefore = try redis.statistic("total_net_output_bytes")
      let run = try a.startRun(#"{"tokens":900,"interval_ms":1}"#)
      let request = requestText("GET", "/runs/\(run)/events")
      let delays = (0..<40).map { _ in Double.random(in: 0...1.2) }.sorted()
      let ports = (Array(repeating: a.port, count: 20) + Array(repeating: b.port, count: 20)).shuffled()
      let streams = ManyStreams(to: ports, requests: ports.map { _ in request }, delays: delays)
      try streams.run(within: 30) { streams.endedCount == 40 }
      let sent = try redis.statistic("total_net_output_bytes") - sentBefore
      let bodies = try streams.bodies()
      var parser = FrameParser()
      let events = try parser.feed(bodies[0], arrival: 0).compactMap(\.event)
      expectWholeStream(events, idField: "run_id", id: run)
      expectSequences(events, 1...902)
      for (index, body) in bodies.enumerated() {
        let place = ports[index] == a.port ? "A" : "B"
        #expect(body == bodies[0], "the subscriber on \(place) that joined after \(delays[index]) s")
      }
      for server in [a, b] {
        let late = try server.subscribe(to: run)
        expectWholeStream(try late.remainingEvents(), idField: "run_id", id: run)
        #expect(late.bytes == bodies[0])
      }
      expectSequences(try redis.storedEvents(of: run), 1...902)
      print("20 subscribers elsewhere: Redis sent \(sent) bytes for a stream of \(bodies[0].count)")
      #expect(sent < 10 * bodies[0].count, "an instance follows a run once, not once a subscriber")
    }
  }

  @Test func aClientThatGoesRoundTheInstancesMissesNothing() throws {
    try withInstances(3) { instances throws in
      let run = try instances.a.startRun(#"{"tokens":300,"interval_ms":3}"#)
      var events: [Event] = []
      var turn = 0
      while events.last?.isTerminal != true {
        turn += 1
        let headers = events.last?.id.map { ["Last-Event-ID: \($0)"] } ?? []
        let stream = try instances.servers[turn % 3].subscribe(to: run, headers: headers)
        for _ in 0..<7 { if let event = try stream.event() { events.append(event) } }
        stream.connection.close()
      }
      expectWholeStream(events, idField: "run_id", id: run)
      #expect(events.count == 302)
    }
  }

  @Test func manyRunsAreFollowedAtOnceEachInItsOrder() throws {
    try withInstances { instances throws in
      let runs = try (0..<100).map { _ in try instances.a.startRun(#"{"tokens":50,"interval_ms":10}"#) }
      let streams = ManyStreams(
        to: instances.b.port, requests: runs.map { requestText("GET", "/runs/\($0)/events") })
      try streams.run(within: 30) { streams.endedCount == runs.count }
      for (run, body) in zip(runs, try streams.bodies()) {
        var parser = FrameParser()
        let events = try parser.feed(body, arrival: 0).compactMap(\.event)
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.count == 52)
      }
    }
  }

  @Test func aRunsRecordIsTheSameEverywhere() throws {
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      let completed = try a.completedRun(#"{"tokens":3,"output":{"answer":[1,"é",null]}}"#)
      let failed = try b.startRun(#"{"tokens":1,"fail":"no model","code":"MODEL_DOWN"}"#)
      _ = try a.waitForRun(failed, status: "failed")
      let running = try a.startRun(#"{"tokens":3,"hang":true}"#)
      #expect(try eventually(within: 5) { try b.run(running)["last_sequence"] == 4 })
      #expect(try b.run(running)["status"] == "running")
      #expect(try b.run(running)["started_at"]?.string != nil)
      for run in [completed, failed] {
        let (fromA, fromB) = (try a.get("/runs/\(run)"), try b.get("/runs/\(run)"))
        #expect(fromA.text == fromB.text)
        #expect(
          try a.subscribe(to: run).remainingEvents().map(\.data)
            == b.subscribe(to: run).remainingEvents().map(\.data))
      }
      #expect(try b.run(completed)["output"] == ["answer": [1, "é", nil]])
      #expect(try a.run(failed)["error"]?["code"] == "MODEL_DOWN")
      #expect(try a.get("/runs").text == b.get("/runs").text)
      for (status, run) in [("completed", completed), ("failed", failed), ("running", running)] {
        for server in [a, b] {
          let runs = try server.get("/runs?status=\(status)").json()["runs"]?.array ?? []
          #expect(runs.map { $0["run_id"]?.string } == [run], "\(status)")
        }
      }
    }
  }

  @Test func aListMayBeReadPageByPageFromDifferentInstances() throws {
    try withInstances { instances throws in
      let ids = (0..<7).map { "run-\($0)" }
      for (index, id) in ids.enumerated() {
        _ = try instances.servers[index % 2].completedRun(#"{"tokens":1}"#, query: "?run_id=\(id)")
      }
      var seen: [String] = []
      var query = "?limit=2"
      for page in 0..<4 {
        let json = try instances.servers[page % 2].get("/runs\(query)").json()
        seen += (json["runs"]?.array ?? []).compactMap { $0["run_id"]?.string }
        guard let cursor = json["next_cursor"]?.string else { break }
        query = "?limit=2&cursor=\(cursor)"
      }
      #expect(seen == Array(ids.reversed()))
    }
  }

  @Test func aKeyIsKnownToEveryInstance() throws {
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      let key = ["Idempotency-Key: order-1"]
      let first = try a.post("/runs", #"{"tokens":1}"#, headers: key)
      let second = try b.post("/runs", #"{"tokens":1}"#, headers: key)
      #expect(first.status == 202 && second.status == 202)
      #expect(try first.json()["run_id"] == second.json()["run_id"])
      #expect(first["Location"] == second["Location"])
      let reused = try b.post("/runs", #"{"tokens":2}"#, headers: key)
      #expect(reused.status == 409)
      #expect(try reused.errorCode() == "IDEMPOTENCY_KEY_REUSED")
      for round in 0..<10 {
        let headers = ["Idempotency-Key: k-\(round)"]
        let connections = try (0..<10).flatMap { _ in [try a.connect(), try b.connect()] }
        for connection in connections {
          try connection.send(requestText("POST", "/runs", headers: headers, body: #"{"tokens":1}"#))
        }
        let answers = try connections.map { try $0.response(to: "POST") }
        let ids = try answers.map { try $0.json()["run_id"]?.string }
        #expect(answers.allSatisfy { $0.status == 202 } && Set(ids).count == 1 && ids[0] != nil, "\(ids)")
      }
      #expect(try eventually(within: 5) { try a.activeRuns + b.activeRuns == 0 })
      let ended = try [a, b].map { try $0.metrics().sum("dockrion_runs_total", ["status": "completed"]) }
      #expect(ended[0] + ended[1] == 11, "each run was executed once, by one instance: \(ended)")
      #expect(try a.get("/runs").json()["runs"]?.array?.count == 11)
    }
  }

  @Test func anIdIsTakenOnEveryInstance() throws {
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      #expect(try a.startRun("{}", query: "?run_id=mine") == "mine")
      let refused = try b.post("/runs?run_id=mine", "{}")
      #expect(refused.status == 409)
      #expect(try refused.errorCode() == "RUN_EXISTS")
      for round in 0..<10 {
        let connections = try (0..<5).flatMap { _ in [try a.connect(), try b.connect()] }
        for connection in connections {
          try connection.send(requestText("POST", "/runs?run_id=mine-\(round)", body: #"{"tokens":1}"#))
        }
        let statuses = try connections.map { try $0.response(to: "POST").status }
        #expect(statuses.sorted() == [202] + Array(repeating: 409, count: 9))
      }
    }
  }

  @Test func aSubscriptionElsewhereObeysTheSameRules() throws {
    try withInstances(streaming: "events: {heartbeat_interval: 1}") { instances throws in
      let (a, b) = (instances.a, instances.b)
      let finished = try a.completedRun(#"{"tokens":10}"#)
      for (query, lastID, first) in [
        ("?from_sequence=5", nil, 5), ("", "4", 5), ("?from_sequence=5", "9", 10), ("", "11", 12),
      ] as [(String, String?, Int)] {
        let headers = lastID.map { ["Last-Event-ID: \($0)"] } ?? []
        let events = try b.subscribe(to: finished, query: query, headers: headers).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: finished, from: first)
        #expect(events.first?.sequence == first && events.last?.sequence == 12)
      }
      #expect(try b.get("/runs/\(finished)/events?from_sequence=13").status == 204)
      #expect(try b.get("/runs/\(finished)/events", headers: ["Last-Event-ID: 12"]).status == 204)

      let run = try a.startRun(#"{"emit":[{"type":"step","node_name":"s"}],"tokens":1,"hang":true}"#)
      let narrowed = try b.subscribe(to: run, query: "?events=step,heartbeat")
      #expect(try narrowed.events(through: "heartbeat").map(\.type) == ["started", "step", "heartbeat"])
      let timed = try b.subscribe(to: run, query: "?timeout=1&events=token")
      #expect(try timed.remainingEvents().map(\.type) == ["started", "token", "timeout"])
      let future = try b.subscribe(to: run, query: "?from_sequence=4")
      #expect(try a.request("DELETE", "/runs/\(run)").status == 200)
      #expect(try future.remainingEvents().filter { $0.type != "heartbeat" }.map(\.type) == ["cancelled"])
      #expect(try narrowed.remainingEvents().last?.type == "cancelled")
    }
  }

  @Test func aTrimmedStartIsToldAsAGapElsewhereToo() throws {
    try withInstances(redis: "max_events_per_run: 10") { instances throws in
      let run = try instances.a.completedRun(#"{"tokens":500}"#)
      for server in instances.servers {
        let events = try server.subscribe(to: run, query: "?from_sequence=50").remainingEvents()
        #expect(
          events.first?.data == #"{"run_id":"\#(run)","type":"gap","from_sequence":50,"to_sequence":492}"#)
        expectWholeStream(events, idField: "run_id", id: run, from: 493)
        #expect(events.count == 11)
      }
    }
  }

  @Test func aRunOutlivesItsServer() throws {
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      let completed = try a.completedRun(#"{"tokens":20}"#)
      let before = try (a.get("/runs/\(completed)").text, a.subscribe(to: completed).remainingEvents())
      let running = try a.startRun(#"{"tokens":1,"hang":true}"#)
      let follower = try b.subscribe(to: running)
      #expect(try follower.events(through: "token").count == 2)
      a.signal(SIGTERM)
      #expect(a.waitForExit(within: 10) == 0)
      let rest = try follower.remainingEvents()
      #expect(rest.map(\.type) == ["cancelled"], "a stop cancels, and says so itself")
      #expect(try b.run(running)["status"] == "cancelled")
      for server in [b, try instances.add()] {
        #expect(try server.get("/runs/\(completed)").text == before.0)
        #expect(try server.subscribe(to: completed).remainingEvents().map(\.data) == before.1.map(\.data))
        #expect(try server.request("DELETE", "/runs/\(completed)").errorCode() == "RUN_FINISHED")
      }
    }
  }

  @Test func instancesWithAnotherPrefixAreAnotherDeployment() throws {
    try withInstances { instances throws in
      let run = try instances.a.completedRun("{}")
      let other = redisDockfile(instances.redis.url, redis: "key_prefix: \"other:one\"")
      try withServer(other) { server throws in
        #expect(try server.get("/runs").json()["runs"] == [])
        #expect(try server.get("/runs/\(run)").status == 404)
        #expect(try server.completedRun("{}", query: "?run_id=\(run)") == run)
        #expect(try instances.redis.command("EXISTS", "other:one:{\(run)}:run").integer == 1)
        #expect(try instances.redis.command("EXISTS", "other:one:{\(run)}:events").integer == 1)
      }
      #expect(try instances.b.run(run)["status"] == "completed")
    }
  }
}

/// These measure, so they run alone.
@Suite(.ownsMachine) struct FollowTimeTests {
  @Test func aTokenReachesAnotherInstanceSoonAfterItsEmit() throws {
    try withInstances { instances throws in
      let run = try instances.a.startRun(#"{"tokens":200,"interval_ms":5,"stamp":true}"#)
      let events = try instances.b.subscribe(to: run).remainingEvents().filter { $0.type == "token" }
      try #require(events.count == 200)
      let delays = try events.map { event in
        let content = try event.json()["content"]?.string ?? ""
        let stamp = try #require(content.prefixMatch(of: /t=(\d+)\ /).flatMap { UInt64($0.1) })
        return Double(event.arrival - stamp) / 1e6
      }.sorted()
      print(
        "emit to arrival on another instance: median \(delays[100]) ms, 99th percentile \(delays[197]) ms")
      #expect(delays[100] < 10)
    }
  }
}
