import Dispatch
import Glibc
import Synchronization
import Testing

@testable import DockrionCore

/// Plays the loop: drains one execution on the test's thread.
private final class Loop {
  let semaphore = DispatchSemaphore(value: 0)
  let inbox: Inbox
  let counters = WorkerCounters()
  let workers: Workers
  private(set) var records: [EventRecord] = []

  init(threads: Int = 16) {
    let semaphore = semaphore
    inbox = Inbox { semaphore.signal() }
    workers = Workers(cores: 2, threads: threads)
  }

  func execution(
    _ agent: any Agent, input: JSONObject = [:], filter: EventsFilter = .everything, ring: Int = 256,
    hasEvents: Bool = true
  ) -> Execution {
    let environment = Execution.Environment(
      Execution.Description(agentName: "test", framework: "swift"),
      Execution.Outlet(filter: filter, hasEvents: hasEvents), ringCapacity: ring, inbox: inbox,
      workers: workers,
      counters: counters)
    let execution = Execution(slot: 0, encoder: EventEncoder(identity: .run("r")), environment)
    execution.start(agent, input: input)
    return execution
  }

  /// Drains until the agent has ended; `pause` slows it down.
  func runToEnd(_ execution: Execution, pause: useconds_t = 0, each: (EventRecord) -> Void = { _ in }) -> Bool
  {
    while true {
      if inbox.park(), semaphore.wait(timeout: .now() + .seconds(20)) == .timedOut { return false }
      inbox.unpark()
      inbox.takeAll { _ in }
      while let record = execution.next() {
        records.append(record)
        each(record)
        if record.ending != nil {
          execution.close()
          return true
        }
      }
      execution.drained()
      if pause > 0 { usleep(pause) }
    }
  }

  var texts: [String] { records.map { $0.withText { String(decoding: $0, as: UTF8.self) } } }
}

@Suite struct ExecutionTests {
  @Test(arguments: [2, 16, 256])
  func manyTasksOfOneAgentLoseNothing(_ ring: Int) {
    let loop = Loop()
    let agent = AsyncAgent { _, context in
      try await withThrowingTaskGroup(of: Void.self) { group in
        for task in 0..<8 {
          group.addTask {
            for number in 0..<1000 { try await context.emitToken("\(task)/\(number)/") }
          }
        }
        try await group.waitForAll()
      }
      return [:]
    }
    #expect(loop.runToEnd(loop.execution(agent, ring: ring), pause: 50))
    #expect(loop.records.count == 8002)
    for task in 0..<8 {
      let numbers = loop.texts.compactMap { text -> Int? in
        guard let start = text.range(of: "\"\(task)/") else { return nil }
        return Int(text[start.upperBound...].prefix { $0 != "/" })
      }
      #expect(numbers == Array(0..<1000))
    }
  }

  @Test func blockingEmittersWaitForRoomAndLoseNothing() {
    let loop = Loop()
    let agent = BlockingAgent { _, context in
      for number in 0..<2000 { try context.emitToken("\(number)") }
      return ["done": true]
    }
    #expect(loop.runToEnd(loop.execution(agent, ring: 2), pause: 20))
    #expect(loop.records.count == 2002)
    #expect(loop.counters.ringFullWaits.load(ordering: .relaxed) > 0)
  }

  @Test func theFilterAnswersAndCostsNoEvent() {
    let loop = Loop()
    let agent = AsyncAgent { _, context in
      let passed = [
        try await context.emitToken("a"), try await context.emitProgress("p", 0.5),
        try await context.emit("custom_one", ["n": .double(.nan)]),
      ]
      #expect(passed == [true, false, false])
      #expect(StreamContext.current?.id == "r")
      return [:]
    }
    #expect(loop.runToEnd(loop.execution(agent, filter: .chat)))
    #expect(loop.records.map(\.kind) == [.started, .token, .complete])
  }

  @Test(arguments: [true, false]) func whatCannotBeSentThrowsAndTheAgentMayGoOn(_ hasEvents: Bool) {
    let loop = Loop()
    let agent = AsyncAgent { _, context in
      for name in ["token", "9lives", "a b", "a\nevent: x", "", "gap", String(repeating: "n", count: 129)] {
        await #expect(throws: EmitError.invalidName(name)) { try await context.emit(name) }
      }
      await #expect(throws: EmitError.reservedField("sequence", event: "x")) {
        try await context.emit("x", ["sequence": 1])
      }
      await #expect(throws: EmitError.self) { try await context.checkpoint("c", ["n": .double(.infinity)]) }
      await #expect(throws: EmitError.self) {
        try await context.emitToken(String(repeating: "x", count: Limits.eventBytesMax))
      }
      // Each of these characters takes six bytes.
      await #expect(throws: EmitError.self) {
        try await context.emitToken(String(repeating: "\u{1}", count: Limits.eventBytesMax / 6))
      }
      await #expect(throws: EmitError.self) { try await context.emitProgress("p", .nan) }
      await #expect(throws: EmitError.self) { try await context.emitStep("s", durationMS: .infinity) }
      let isSent = try await context.emit("x", ["a\"b\n": 1])
      #expect(isSent == hasEvents)
      return [:]
    }
    #expect(loop.runToEnd(loop.execution(agent, hasEvents: hasEvents)))
    guard hasEvents else {
      #expect(loop.records.map(\.kind) == [.complete] && loop.records[0].count == 0)
      return
    }
    #expect(loop.records.map(\.kind) == [.started, .custom, .complete])
    #expect(loop.texts[1].contains(#""a\"b\n":1"#))
  }

  @Test(arguments: [true, false]) func theSynchronousFormsRefuseTheSame(_ hasEvents: Bool) {
    let loop = Loop()
    let long = String(repeating: "x", count: Limits.eventBytesMax)
    let agent = BlockingAgent { _, context in
      #expect(throws: EmitError.reservedField("run_id", event: "x")) {
        try context.emit("x", ["run_id": 1])
      }
      #expect(throws: EmitError.self) { try context.checkpoint("c", ["n": .double(.nan)]) }
      #expect(throws: EmitError.self) { try context.emitToken("x", finishReason: long) }
      #expect(throws: EmitError.self) { try context.emitProgress("p", 1, message: long) }
      #expect(throws: EmitError.self) { try context.emitStep("s", outputKeys: [long]) }
      return [:]
    }
    #expect(loop.runToEnd(loop.execution(agent, hasEvents: hasEvents)))
    #expect(loop.records.map(\.kind) == (hasEvents ? [.started, .complete] : [.complete]))
  }

  @Test func detailsThatJSONCannotHoldAreReplacedByASentence() throws {
    let loop = Loop()
    let agent = AsyncAgent { _, _ in throw AgentError(message: "no", details: ["n": .double(.nan)]) }
    #expect(loop.runToEnd(loop.execution(agent, hasEvents: false)))
    guard case .failed(let error) = loop.records.last?.ending else {
      Issue.record("the agent has not failed")
      return
    }
    #expect(error.details?.names.map { $0 } == ["unreadable"])
    #expect(error.message == "no" && error.detailsJSON != nil)
  }

  @Test func aCancelledAgentStopsEmittingWhereverItWaits() {
    let loop = Loop()
    let sync = BlockingAgent { _, context in
      while true { try context.emitToken("x") }
    }
    let async = AsyncAgent { _, context in
      while true { try await context.emitToken("x") }
    }
    let sleeping = AsyncAgent { _, _ in
      try await Task.sleep(for: .seconds(1000))
      return [:]
    }
    for agent in [sync, async, sleeping] as [any Agent] {
      let execution = loop.execution(agent, ring: 2)
      usleep(2000)
      execution.cancel()
      var last: EventRecord?
      #expect(loop.runToEnd(execution) { last = $0 })
      guard case .cancelled = last?.ending else {
        Issue.record("ended with \(String(describing: last?.ending))")
        continue
      }
    }
  }

  @Test func anErrorKeepsItsCodeAndDetails() {
    let loop = Loop()
    let agent = AsyncAgent { _, _ in
      throw AgentError(code: "NO_TEXT", message: "page \"3\"", details: ["page": 3])
    }
    #expect(loop.runToEnd(loop.execution(agent)))
    #expect(loop.texts[1].contains(#""error":"page \"3\"","code":"NO_TEXT","details":{"page":3}}"#))
  }

  @Test func anOutputThatJSONCannotHoldIsAnErrorNotACrash() {
    let loop = Loop()
    #expect(loop.runToEnd(loop.execution(AsyncAgent { _, _ in ["score": .double(.nan)] })))
    #expect(loop.records.last?.kind == .error)
    #expect(loop.texts.last?.contains("score") == true)
  }

  @Test func echoPiecesJoinedAreTheText() {
    for text in ["Hello, world!", "  a  b ", "", " ", "\n", "ein\u{301}s\tzwei", "👩‍👩‍👧 x", "one"] {
      #expect(EchoAgent.words(of: text).joined() == text)
    }
    #expect(EchoAgent.words(of: "Hello, world!") == ["Hello, ", "world!"])
    // A letter beyond ASCII takes the other way, to the same words.
    for text in ["  a  b c ", "", " ", "a\r\nb\tc", "\u{1C}a \u{1F} b", "one"] {
      #expect(
        EchoAgent.words(of: text + "x")
          == EchoAgent.words(of: text + "é").map { $0.replacing("é", with: "x") })
    }
  }

  @Test func blockedWorkersDoNotStallTheOthers() {
    let pool = WorkerPool(name: "test", width: 2, maximum: 32)
    let release = DispatchSemaphore(value: 0)
    for _ in 0..<8 { pool.async { release.wait() } }
    let done = DispatchSemaphore(value: 0)
    pool.async { done.signal() }
    // They are released only afterwards.
    #expect(done.wait(timeout: .now() + .seconds(30)) == .success)
    for _ in 0..<8 { release.signal() }
  }
}
