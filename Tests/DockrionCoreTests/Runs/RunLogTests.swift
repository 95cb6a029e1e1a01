import Testing

@testable import DockrionCore

@Suite struct RunLogTests {
  private let encoder = EventEncoder(identity: .run("r"))

  private func token(_ text: String) -> EventRecord {
    encoder.record(.token) { $0.append(member: "content", text) }
  }

  private func read(_ log: RunLog, from start: Int, bytesMax: Int = .max) -> [String] {
    var text = ""
    var at = start
    while at <= log.lastSequence {
      let (bytes, next) = log.read(from: at, bytesMax: bytesMax)
      text += String(decoding: bytes, as: UTF8.self)
      at = next
    }
    return text.split(separator: "\n\n").map(String.init)
  }

  @Test func eventsReadBackInTheirOrderWhateverTheStretch() {
    let log = RunLog(eventsMax: 10_000)
    for number in 1...3000 { log.append(token(String(repeating: "x", count: number % 300))) }
    for size in [0, 1, 500, 70_000, Int.max] {
      let events = read(log, from: 1, bytesMax: size)
      #expect(events.count == 3000)
      #expect(events.enumerated().allSatisfy { $1.hasPrefix("id: \($0 + 1)\nevent: token\n") })
      #expect(events.enumerated().allSatisfy { $1.contains("\"sequence\":\($0 + 1),") })
    }
    #expect(read(log, from: 2990).count == 11)
  }

  /// What an event was put together in is not kept beside the event, where nothing counts it.
  @Test func aLargeEventIsHeldOnce() {
    let log = RunLog(eventsMax: 10)
    for size in [10, 500_000, 1000, 300, 1_000_000] {
      log.append(token(String(repeating: "x", count: size)))
      #expect(log.scratchCapacity <= RunLog.scratchBytesKept, "after \(size) bytes")
    }
    #expect(log.byteCount > 1_500_000)
  }

  @Test func onlyTheNewestAreKeptAndTheirMemoryToo() {
    let log = RunLog(eventsMax: 10)
    for _ in 1...5000 { log.append(token(String(repeating: "x", count: 1000))) }
    #expect(log.lastSequence == 5000)
    #expect(log.firstSequence == 4991)
    #expect(read(log, from: log.firstSequence).count == 10)
    #expect(log.byteCount < 200_000)
  }

  @Test func whatIsTakenBackIsGoneAndTheLogGoesOn() {
    for kept in [0, 1, 7, 500, 999, 1000, 2000] {
      let log = RunLog(eventsMax: 10_000)
      for number in 1...1000 { log.append(token(String(repeating: "x", count: number % 300))) }
      log.shrink()
      log.truncate(after: kept)
      let last = min(kept, 1000)
      #expect(log.lastSequence == last && log.firstSequence == 1)
      #expect(read(log, from: 1).count == last)
      for number in 0..<300 { log.append(token("new \(number)")) }
      let events = read(log, from: 1)
      #expect(events.count == last + 300)
      #expect(events.enumerated().allSatisfy { $1.hasPrefix("id: \($0 + 1)\nevent: token\n") })
      #expect(events[last...].enumerated().allSatisfy { $1.contains("\"new \($0)\"") })
    }
  }

  @Test func aLogThatWasTakenBackCountsLikeOneThatNeverHadMore() {
    for kept in [1, 7, 500, 999] {
      let (long, short) = (RunLog(eventsMax: 10_000), RunLog(eventsMax: 10_000))
      for number in 1...1000 {
        let event = token(String(repeating: "x", count: number % 300))
        long.append(event)
        if number <= kept { short.append(event) }
      }
      long.truncate(after: kept)
      #expect(long.byteCount == short.byteCount)
      // Both let go of each segment with the last event in it.
      for _ in 0..<kept {
        long.dropOldest()
        short.dropOldest()
        #expect(long.byteCount == short.byteCount)
      }
      #expect(long.byteCount == 0)
    }
  }

  @Test func aCustomNameGoesWithItsEvent() {
    func log(eventsMax: Int = 100) -> RunLog {
      let log = RunLog(eventsMax: eventsMax)
      for number in 1...50 { log.append(encoder.record(.custom, customName: "n\(number)") { _ in }) }
      return log
    }
    let bounded = log(eventsMax: 10)
    #expect(bounded.customNames.keys.sorted() == Array(41...50))
    bounded.dropOldest()
    #expect(bounded.customNames.keys.sorted() == Array(42...50))
    let truncated = log()
    truncated.truncate(after: 20)
    #expect(truncated.customNames.keys.sorted() == Array(1...20))
    truncated.reset(nextSequence: 5)
    #expect(truncated.customNames.isEmpty)
    let copy = RunLog(eventsMax: 10)
    for _ in 0..<50 {
      copy.append(stored: UnsafeRawBufferPointer(start: nil, count: 0), .custom, customName: "n")
    }
    #expect(copy.customNames.keys.sorted() == Array(41...50))
  }

  @Test func aLogThatHasDroppedItsBeginningCanBeTakenBackBehindIt() {
    let log = RunLog(eventsMax: 10)
    for number in 1...100 { log.append(token("\(number)")) }
    log.truncate(after: 40)
    #expect(log.firstSequence == 41 && log.lastSequence == 40 && log.byteCount == 0)
    log.append(token("again"))
    #expect(read(log, from: 41).count == 1)
  }

  @Test func storedEventsAreTakenAsTheyAre() {
    let source = RunLog(eventsMax: 100)
    let copy = RunLog(eventsMax: 100)
    for number in 1...50 { source.append(token("\(number)")) }
    copy.reset(nextSequence: 21)
    for sequence in 21...50 {
      copy.append(stored: source.read(from: sequence, bytesMax: 0).bytes, .token, customName: nil)
    }
    #expect(copy.firstSequence == 21 && copy.lastSequence == 50)
    #expect(read(copy, from: 21) == Array(read(source, from: 1)[20...]))
    #expect(copy.bytes(after: 20) == source.bytes(after: 20) && copy.bytes(after: 50) == 0)
    let (bytes, next) = source.read(from: 1, through: 3, bytesMax: .max)
    #expect(next == 4 && String(decoding: bytes, as: UTF8.self).hasSuffix("\"3\"}\n\n"))
  }

  @Test func anEventLargerThanASegmentIsWhole() {
    let log = RunLog(eventsMax: 100)
    log.append(token("a"))
    log.append(token(String(repeating: "y", count: 500_000)))
    log.append(token("b"))
    let events = read(log, from: 1)
    #expect(events.count == 3)
    #expect(events[1].utf8.count > 500_000)
    log.shrink()
    #expect(read(log, from: 1) == events)
  }

  @Test func filtersSeeKindsAndCustomNames() throws {
    let log = RunLog(eventsMax: 100)
    log.append(token("a"))
    log.append(encoder.record(.custom, customName: "fraud") { _ in })
    log.append(encoder.record(.custom, customName: "other") { _ in })
    let filter = try EventsFilter(words: ["custom:fraud"])
    #expect((1...3).map { log.passes(filter, at: $0) } == [false, true, false])
    #expect(log.hasEvent(from: 2, passing: filter))
    #expect(!log.hasEvent(from: 3, passing: filter))
  }

  @Test func droppingTheLastEventLeavesAnEmptyLogThatGoesOn() {
    let log = RunLog(eventsMax: 10)
    log.append(token("a"))
    log.dropOldest()
    #expect(log.firstSequence == 2)
    #expect(log.append(token("b")) == 2)
    #expect(read(log, from: 2).count == 1)
  }
}

@Suite struct RunStateMachineTests {
  private enum Happening: CaseIterable { case event, completed, failed, cancel, timeLimit }

  private func apply(_ happening: Happening, _ machine: inout RunStateMachine) -> RunStateMachine.Action {
    switch happening {
    case .event: machine.event()
    case .completed: machine.agentEnded(.completed)
    case .failed: machine.agentEnded(.failed)
    case .cancel: machine.cancel()
    case .timeLimit: machine.timeLimitReached()
    }
  }

  @Test func whateverComesFirstWinsAndIsTheOnlyEnd() {
    var orders: [[Happening]] = [[]]
    for _ in 0..<4 { orders = orders.flatMap { order in Happening.allCases.map { order + [$0] } } }
    for order in orders {
      var machine = RunStateMachine()
      var ends = 0
      var final: RunStatus?
      for happening in order {
        let action = apply(happening, &machine)
        if action == .finish { ends += 1 }
        if let final { #expect(machine.status == final && action == .ignore) }
        if machine.status.isFinal { final = machine.status }
      }
      #expect(ends == (order.allSatisfy { $0 == .event } ? 0 : 1))
    }
  }
}
