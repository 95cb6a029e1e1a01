import Foundation
import Testing

/// Instances that die, and that seem to.
///
/// `lease` is the shortest that a Dockfile can ask for. The instances look at each other's leases now and then, so
/// what follows from a lapse may take a little longer than the lease.
@Suite(.onlyWaits) struct DeadOwnerTests {
  private static let lease = "lease_seconds: 2"
  // For a machine that others keep busy; how soon it is to be is told in looks.
  private static let patience = 30.0
  private static let endless = #"{"tokens":4000,"interval_ms":5}"#

  @Test func theRunsOfAKilledServerFailForTheirSubscribersElsewhere() throws {
    try withInstances(3, redis: Self.lease) { instances throws in
      let (a, b, c, redis) = (instances.a, instances.b, instances.c, instances.redis)
      let run = try a.startRun(Self.endless)
      let unwatched = try a.startRun(#"{"tokens":3,"hang":true}"#)
      let bystander = try b.startRun(#"{"tokens":1,"hang":true}"#)
      let subscribers = try [b, b, b, c].map { try $0.subscribe(to: run) }
      for subscriber in subscribers { for _ in 0..<101 { _ = try subscriber.event() } }
      try instances.kill(a)
      try redis.command("CONFIG", "RESETSTAT")
      for subscriber in subscribers {
        let last = try #require(try subscriber.remainingEvents(within: Self.patience).last)
        #expect(last.type == "error")
        #expect(try last.json()["code"] == "WORKER_LOST")
      }
      // Two servers look ten times in a lease at two leases each; it lasts three quarters, and two looks must miss it.
      let looks = Double(try redis.commandCalls()["exists"] ?? 0) / 4
      #expect(looks < 14, "the error comes after \(looks) looks of each server")
      let late = try b.subscribe(to: run)
      let events = try late.remainingEvents()
      expectWholeStream(events, idField: "run_id", id: run)
      // What everybody had seen, and the end.
      #expect(events.count > 101)
      #expect(subscribers.allSatisfy { $0.bytes == late.bytes })
      expectOneEnd(try redis.storedEvents(of: run))
      for (id, tokens) in [(run, events.count - 2), (unwatched, 3)] {
        let record = try b.waitForRun(id, status: "failed", within: Self.patience)
        #expect(record["error"]?["code"] == "WORKER_LOST")
        #expect(record["completed_at"]?.string != nil && record["output"] == .null)
        #expect(record["last_sequence"]?.int == tokens + 2)
        #expect(try c.run(id) == record)
        #expect(try c.request("DELETE", "/runs/\(id)").errorCode() == "RUN_FINISHED")
        for part in ["run", "events"] {
          let left = try redis.secondsToLive(redis.key(id, part))
          #expect((1...3600).contains(left), "\(part) of a dead server's run expires in \(left) s")
        }
      }
      #expect(try c.run(bystander)["status"] == "running", "a living server's run was ended")
      #expect(try c.subscribe(to: bystander, query: "?timeout=1").remainingEvents().last?.type == "timeout")
      #expect(try b.run(bystander)["status"] == "running")
    }
  }

  @Test func aServerThatStartsLaterEndsTheRunsOfThoseThatDied() throws {
    try withInstances(1, redis: Self.lease) { instances throws in
      let run = try instances.a.startRun(#"{"tokens":5,"hang":true}"#)
      #expect(try eventually(within: 5) { try instances.redis.storedEvents(of: run).count == 6 })
      let fresh = try instances.a.startRun(#"{"tokens":0,"hang":true}"#)
      try instances.kill(instances.a)
      for part in ["run", "events"] {
        let left = try instances.redis.secondsToLive(instances.redis.key(run, part))
        #expect(left > 0, "with every server dead, \(part) of a run would stay for ever")
      }
      let b = try instances.add()
      for id in [run, fresh] {
        let record = try b.waitForRun(id, status: "failed", within: Self.patience)
        #expect(record["error"]?["code"] == "WORKER_LOST")
        let events = try b.subscribe(to: id).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: id)
        #expect(try events.last?.json()["code"] == "WORKER_LOST")
      }
      #expect(try b.completedRun(#"{"tokens":1}"#).isEmpty == false)
    }
  }

  /// It sleeps past its lease with an agent that has more to say.
  @Test func aServerThatWasOnlyPausedFindsItselfFencedOff() throws {
    try withInstances(redis: Self.lease) { instances throws in
      let (a, b, redis) = (instances.a, instances.b, instances.redis)
      let tokens = Array(repeating: #"{"type":"token","content":"x"}"#, count: 20).joined(separator: ",")
      let run = try a.startRun(
        #"{"emit":[\#(tokens),{"type":"sleep","ms":2000}],"tokens":1000,"interval_ms":5}"#)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<21 { _ = try subscriber.event() } }
      a.signal(SIGSTOP)
      let stopped = monotonicNanoseconds()
      let last = try #require(try onB.remainingEvents(within: Self.patience).last)
      #expect(try last.type == "error" && last.json()["code"] == "WORKER_LOST")
      #expect(last.sequence == 22)
      // Its agent's sleep is over too, so it speaks as soon as it is woken.
      while seconds(since: stopped) < 2.5 { usleep(10_000) }
      let stored = try redis.storedEvents(of: run).map(\.data)
      let record = try redis.record(of: run)
      a.signal(SIGCONT)
      #expect(try eventually(within: 5) { try a.activeRuns == 0 }, "the agent was not cancelled")
      _ = try onA.remainingEvents()
      #expect(onA.bytes == onB.bytes, "the subscribers of the paused server saw something else")
      let again = try a.subscribe(to: run)
      _ = try again.remainingEvents()
      #expect(again.bytes == onB.bytes)
      #expect(try a.run(run) == b.run(run))
      #expect(try a.run(run)["error"]?["code"] == "WORKER_LOST")
      // Two renewals later.
      usleep(2_000_000)
      #expect(try redis.storedEvents(of: run).map(\.data) == stored, "the stale owner wrote on")
      #expect(try redis.record(of: run) == record)
      expectOneEnd(try redis.storedEvents(of: run))
      let next = try a.completedRun(#"{"tokens":5}"#)
      #expect(try b.run(next)["status"] == "completed", "the server that came back is of use again")
    }
  }

  @Test func aPauseShorterThanTheLeaseHurtsNobody() throws {
    try withInstances(redis: "lease_seconds: 5") { instances throws in
      let run = try instances.a.startRun(#"{"tokens":100,"interval_ms":10}"#)
      let subscribers = try instances.servers.map { try $0.subscribe(to: run) }
      for subscriber in subscribers { for _ in 0..<20 { _ = try subscriber.event() } }
      instances.a.signal(SIGSTOP)
      usleep(1_500_000)
      instances.a.signal(SIGCONT)
      for subscriber in subscribers { #expect(try subscriber.remainingEvents().last?.sequence == 102) }
      #expect(subscribers[0].bytes == subscribers[1].bytes)
      #expect(try instances.b.run(run)["status"] == "completed")
    }
  }

  /// The answer 202 is a promise that the run has an end.
  @Test func aRunThatWasJustAnsweredHasAnEndToo() throws {
    try withInstances(redis: Self.lease) { instances throws in
      let run = try instances.a.startRun(#"{"hang":true}"#)
      try instances.kill(instances.a)
      let record = try instances.b.waitForRun(run, status: "failed", within: Self.patience)
      #expect(record["error"]?["code"] == "WORKER_LOST")
      let events = try instances.b.subscribe(to: run).remainingEvents()
      expectWholeStream(events, idField: "run_id", id: run)
    }
  }

  private func expectOneEnd(_ stored: [Event], sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(stored.filter(\.isTerminal).count == 1, sourceLocation: sourceLocation)
    #expect(stored.last?.isTerminal == true, sourceLocation: sourceLocation)
    if !stored.isEmpty { expectSequences(stored, 1...stored.count, sourceLocation: sourceLocation) }
  }
}
