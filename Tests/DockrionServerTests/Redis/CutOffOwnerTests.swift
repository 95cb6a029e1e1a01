import Foundation
import Testing

/// A server that is cut off from Redis for longer than its lease, while its agents go on.
@Suite(.onlyWaits) struct CutOffOwnerTests {
  private static let lease = "lease_seconds: 2, command_timeout_seconds: 1, connect_timeout_seconds: 1"
  private static let endless = #"{"tokens":8000,"interval_ms":5}"#

  @Test(arguments: [false, true])
  func itsSubscribersAreToldOfNothingThatNobodyElseGets(_ isBroken: Bool) throws {
    try withCutOff { a, b, link throws in
      let run = try a.startRun(Self.endless)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<100 { _ = try subscriber.event() } }
      let cut = monotonicNanoseconds()
      if isBroken { link.cut() } else { link.hold([.commands, .answers]) }
      // Read as it comes, so that the events' arrivals tell.
      var events = try self.events(of: onA, until: cut + 4_000_000_000)
      let onBLast = try #require(try onB.remainingEvents(within: 8).last)
      #expect(try onBLast.json()["code"] == "WORKER_LOST")
      // The agent has gone on for two leases; what came in the second one is not shown.
      let emitted = Int(try a.metrics().sum("dockrion_events_total", ["type": "token"]))
      link.release()
      events += try onA.remainingEvents(within: 10)
      #expect(events.map(\.type).suffix(2) == ["gap", "error"], "\(events.suffix(3))")
      #expect(events.last?.data == onBLast.data, "the end is the same for all")
      let tokens = events.filter { $0.type == "token" }
      let lastArrival = (Double(tokens.last?.arrival ?? cut) - Double(cut)) / 1e9
      #expect(lastArrival < 1.5 + 0.3, "a token came \(lastArrival) s after the last sign of Redis")
      #expect(lastArrival > 0.5, "its subscribers wait for Redis at once")
      let shown = try #require(tokens.last?.sequence)
      #expect(Double(shown) < Double(emitted) * 0.75, "\(shown) of \(emitted) were shown")
      #expect(
        events.dropLast().last?.data.hasSuffix(
          #""from_sequence":\#(onBLast.sequence ?? 0),"to_sequence":\#(shown)}"#) == true)
      let beyond = try b.subscribe(to: run, headers: ["Last-Event-ID: \(shown)"]).remainingEvents()
      #expect(beyond.map(\.data) == [onBLast.data])
      let late = try a.subscribe(to: run)
      _ = try late.remainingEvents()
      #expect(late.bytes == onB.bytes)
      #expect(try eventually(within: 5) { try a.activeRuns == 0 })
      #expect(try eventually(within: 10) { try a.get("/ready").status == 200 })
      #expect(try b.run(a.completedRun(#"{"tokens":1}"#))["status"] == "completed")
    }
  }

  /// Between the two, nobody has ended its runs: there is nobody else.
  @Test func whatWasWithheldIsShownWhenTheRunsAreStillItsOwn() throws {
    try withCutOff(alone: true) { a, _, link throws in
      let run = try a.startRun(#"{"tokens":1200,"interval_ms":5}"#)
      let onA = try a.subscribe(to: run)
      for _ in 0..<100 { _ = try onA.event() }
      link.cut()
      usleep(3_500_000)
      link.release()
      let events = try onA.remainingEvents(within: 20)
      let late = try a.subscribe(to: run)
      expectWholeStream(try late.remainingEvents(), idField: "run_id", id: run)
      #expect(late.bytes == onA.bytes)
      #expect(events.last?.sequence == 1202)
    }
  }

  @Test func aStoppedOwnerWhoseLinkBreaksTooShowsNothingMore() throws {
    try withCutOff { a, b, link throws in
      let run = try a.startRun(Self.endless)
      let (onA, onB) = (try a.subscribe(to: run), try b.subscribe(to: run))
      for subscriber in [onA, onB] { for _ in 0..<100 { _ = try subscriber.event() } }
      a.signal(SIGSTOP)
      let stopped = monotonicNanoseconds()
      link.cut()
      let last = try #require(try onB.remainingEvents(within: 8).last)
      while seconds(since: stopped) < 2.5 { usleep(10_000) }
      let before = try eventsSoFar(of: onA)
      a.signal(SIGCONT)
      let awake = try self.events(of: onA, until: monotonicNanoseconds() + 1_500_000_000)
      #expect(awake.filter { $0.type == "token" }.isEmpty, "\(awake.last?.data ?? "") \(before.count)")
      link.release()
      let rest = try onA.remainingEvents(within: 10)
      #expect(rest.last?.data == last.data)
      #expect(rest.filter { $0.type == "token" }.allSatisfy { ($0.sequence ?? 0) < last.sequence ?? 0 })
    }
  }

  /// What has come already, however long it takes to read.
  private func eventsSoFar(of stream: EventStream) throws -> [Event] {
    var events: [Event] = []
    while true {
      do {
        guard let event = try stream.event(within: 0.1) else { return events }
        events.append(event)
      } catch let error as ClientError where error.description.hasPrefix("waited too long") {
        return events
      }
    }
  }

  /// What comes until that moment.
  private func events(of stream: EventStream, until moment: UInt64) throws -> [Event] {
    var events: [Event] = []
    while monotonicNanoseconds() < moment {
      do {
        guard let event = try stream.event(within: 0.1) else { break }
        events.append(event)
      } catch let error as ClientError where error.description.hasPrefix("waited too long") {
        continue
      }
    }
    return events
  }

  private func withCutOff(
    alone: Bool = false, _ body: (ServerProcess, ServerProcess, RedisLink) throws -> Void
  ) throws {
    try withInstances(0, redis: Self.lease) { instances throws in
      let link = try RedisLink(to: instances.redis.port)
      let a = try instances.add(through: link)
      let b = alone ? a : try instances.add()
      try instances.waitUntilReady()
      try body(a, b, link)
    }
  }
}
