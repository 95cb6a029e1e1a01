import Foundation
import Testing

/// A cancel asked of an instance that does not execute the run.
@Suite(.sharesMachine) struct CancelAcrossTests {
  @Test func aCancelFromElsewhereEndsTheRunForEverybody() throws {
    try withInstances(3) { instances throws in
      let (a, b, c) = (instances.a, instances.b, instances.c)
      let run = try a.startRun(#"{"tokens":2,"hang":true}"#)
      let subscribers = try [a, b, c].map { try $0.subscribe(to: run) }
      for subscriber in subscribers { for _ in 0..<3 { _ = try subscriber.event() } }
      let response = try c.request("DELETE", "/runs/\(run)?reason=changed%20my%20mind")
      #expect(response.status == 200)
      #expect(try response.json() == ["run_id": .text(run), "status": "cancelled"])
      for subscriber in subscribers {
        let rest = try subscriber.remainingEvents()
        #expect(rest.map(\.type) == ["cancelled"] && rest.first?.sequence == 4)
        #expect(try rest.last?.json()["reason"] == "changed my mind")
      }
      #expect(subscribers.allSatisfy { $0.bytes == subscribers[0].bytes })
      #expect(try eventually(within: 5) { try a.activeRuns == 0 })
      for server in [a, b, c] {
        #expect(try server.run(run)["status"] == "cancelled")
        let again = try server.request("DELETE", "/runs/\(run)?reason=late")
        #expect(again.status == 409)
        #expect(try again.errorCode() == "RUN_FINISHED")
      }
      #expect(
        try instances.redis.storedEvents(of: run).map(\.type) == ["started", "token", "token", "cancelled"])
    }
  }

  @Test func whatTheAgentSaysAfterACancelFromElsewhereIsDropped() throws {
    try withInstances { instances throws in
      // The agent ignores the cancellation for half a second and then ends by itself.
      let run = try instances.a.startRun(#"{"tokens":1,"block_ms":500,"output":{"late":true}}"#)
      #expect(try eventually(within: 5) { try instances.b.run(run)["last_sequence"] == 2 })
      #expect(try instances.b.request("DELETE", "/runs/\(run)").status == 200)
      let before = try instances.b.run(run)
      #expect(try eventually(within: 5) { try instances.a.activeRuns == 0 })
      for server in instances.servers {
        #expect(try server.run(run) == before)
        #expect(
          try server.subscribe(to: run).remainingEvents().map(\.type) == ["started", "token", "cancelled"])
      }
    }
  }

  /// The notice that would hurry the owner has nobody to hear it; its lease renewal finds the cancel.
  @Test func aCancelWhoseNoticeIsLostWorksWithinARenewal() throws {
    try withInstances(redis: "lease_seconds: 3") { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let runs = try (0..<5).map { _ in try a.startRun(#"{"tokens":1,"hang":true}"#) }
      #expect(try eventually(within: 5) { try a.activeRuns == 5 })
      let connections = try runs.map { _ in try b.connect() }
      try redis.command("CONFIG", "RESETSTAT")
      for (run, connection) in zip(runs, connections) {
        try redis.command("CLIENT", "KILL", "TYPE", "pubsub")
        try connection.send(requestText("DELETE", "/runs/\(run)"))
        #expect(try connection.response(to: "DELETE").status == 200)
        try redis.command("CLIENT", "KILL", "TYPE", "pubsub")
      }
      #expect(try eventually(within: 30) { try a.activeRuns == 0 }, "some agents were never told")
      let renewals = try redis.commandCalls()["set"] ?? 0
      print("five cancels without their notices: \(renewals) renewals until their agents had ended")
      #expect(renewals <= 2 * 5 + 2, "later than the owner's renewal that follows each of them")
      for run in runs {
        let events = try a.subscribe(to: run).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run)
        #expect(events.last?.type == "cancelled")
      }
    }
  }

  @Test func cancelsFromEverywhereAndTheAgentsEndLeaveOneTerminalEvent() throws {
    let terminalOf = ["completed": "complete", "cancelled": "cancelled"]
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      var outcomes: [String: Int] = [:]
      for round in 0..<60 {
        let run = try a.startRun(
          #"{"tokens":\#(round % 20),"interval_ms":\#(Double(round % 3) / 4)}"#,
          query: "?run_id=race-\(round)")
        let connections = [try a.connect(), try b.connect(), try b.connect()]
        for connection in connections { try connection.send(requestText("DELETE", "/runs/\(run)")) }
        let statuses = try connections.map { try $0.response(to: "DELETE").status }
        let (fromA, fromB) = (try a.subscribe(to: run), try b.subscribe(to: run))
        let events = try fromB.remainingEvents()
        _ = try fromA.remainingEvents()
        #expect(fromA.bytes == fromB.bytes, "round \(round)")
        expectWholeStream(events, idField: "run_id", id: run)
        let status = try #require(try b.run(run)["status"]?.string)
        #expect(try a.run(run)["status"]?.string == status)
        #expect(terminalOf[status] == events.last?.type, "round \(round): \(status)")
        #expect(statuses.filter { $0 == 200 }.count == (status == "cancelled" ? 1 : 0), "\(statuses)")
        #expect(statuses.allSatisfy { [200, 409].contains($0) }, "\(statuses)")
        #expect(try instances.redis.storedEvents(of: run).filter(\.isTerminal).count == 1)
        outcomes[status, default: 0] += 1
      }
      print("cancels from two instances against the agent's end: \(outcomes)")
      #expect(outcomes["cancelled", default: 0] > 0)
      #expect(try eventually(within: 5) { try a.activeRuns == 0 })
    }
  }
}

@Suite(.ownsMachine) struct CancelTimeTests {
  @Test func aCancelFromElsewhereReachesTheAgentWithin100Milliseconds() throws {
    try withInstances { instances throws in
      let (a, b) = (instances.a, instances.b)
      let (toA, toB) = (try a.connect(), try b.connect())
      let byOwner = try a.connect()
      // In turn with the owner's own cancels, which have no way to go.
      var (times, own): ([Double], [Double]) = ([], [])
      for round in 0..<22 {
        let run = try a.startRun(#"{"tokens":1,"hang":true}"#, query: "?run_id=r-\(round)")
        #expect(try eventually(within: 5) { try a.activeRuns == 1 })
        let connection = round % 2 == 0 ? toB : byOwner
        let start = monotonicNanoseconds()
        try connection.send(requestText("DELETE", "/runs/\(run)"))
        let reached = try eventually(within: 5) {
          try a.activeRuns(on: toA) == 0
        }
        if round % 2 == 0 {
          times.append(seconds(since: start) * 1000)
        } else {
          own.append(seconds(since: start) * 1000)
        }
        #expect(reached, "the agent of round \(round) runs on")
        #expect(try connection.response(to: "DELETE").status == 200)
      }
      print(
        "cancel until the agent has ended, ms: by its owner \(own.sorted()), by another \(times.sorted())")
      #expect(times.sorted()[5] < 80 + 4 * own.sorted()[5])
    }
  }
}

/// What a cancel costs Redis while its run's owner does not answer.
@Suite(.onlyWaits) struct CancelCostTests {
  @Test func aWaitingCancelLooksOnceASecond() throws {
    try withInstances { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let run = try a.startRun(#"{"tokens":1,"hang":true}"#)
      #expect(try eventually(within: 5) { try b.run(run)["last_sequence"] == 2 })
      a.signal(SIGSTOP)
      let connection = try b.connect()
      let before = try redis.statistic("total_commands_processed")
      usleep(3_000_000)
      let idle = try redis.statistic("total_commands_processed") - before
      try connection.send(requestText("DELETE", "/runs/\(run)"))
      usleep(3_000_000)
      let commands = try redis.statistic("total_commands_processed") - before - idle
      a.signal(SIGCONT)
      print("three seconds of a server that waits: \(idle) commands, with a cancel \(commands)")
      #expect(commands < idle + 30)
      let start = monotonicNanoseconds()
      #expect(try connection.response(to: "DELETE").status == 200)
      #expect(seconds(since: start) < 0.9, "the end is not heard of on the channel")
      #expect(try b.run(run)["status"] == "cancelled")
    }
  }
}
