import Dispatch
import Synchronization
import Testing

@testable import DockrionCore

/// What becomes of an agent that is cancelled or ended: before it has a thread, while it waits, and afterwards.
@Suite struct EndedExecutionTests {
  private final class Stage {
    let inbox = Inbox {}
    let counters = WorkerCounters()
    let workers: Workers

    init(threads: Int = 16) { workers = Workers(cores: 2, threads: threads) }

    func execution(ring: Int = 2) -> Execution {
      let environment = Execution.Environment(
        Execution.Description(agentName: "test", framework: "swift"),
        Execution.Outlet(filter: .everything, hasEvents: true), ringCapacity: ring, inbox: inbox,
        workers: workers, counters: counters)
      return Execution(slot: 0, encoder: EventEncoder(identity: .run("r")), environment)
    }
  }

  /// Records up to the agent's end, as far as they come in time.
  private func records(of execution: Execution) -> [EventRecord] {
    var records: [EventRecord] = []
    _ = eventually {
      while let record = execution.next() { records.append(record) }
      execution.drained()
      return records.last?.ending != nil
    }
    return records
  }

  private func eventually(within seconds: Int = 20, _ condition: () -> Bool) -> Bool {
    let end = DispatchTime.now() + .seconds(seconds)
    while !condition() {
      if DispatchTime.now() > end { return false }
      Clock.sleepThread(nanoseconds: 200_000)
    }
    return true
  }

  @Test(arguments: [false, true])
  func anAgentThatWasCancelledBeforeItHadAThreadIsNeverStarted(_ blocks: Bool) {
    let stage = Stage(threads: 1)
    let (held, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let pool = blocks ? stage.workers.blocking : stage.workers.cooperative
    pool.async {
      held.signal()
      release.wait()
    }
    held.wait()
    let starts = Count()
    let agent: any Agent =
      blocks
      ? BlockingAgent { _, _ in
        starts.add()
        return [:]
      }
      : AsyncAgent { _, _ in
        starts.add()
        return [:]
      }
    let execution = stage.execution(ring: 16)
    execution.start(agent, input: [:])
    // The blocking one has said `started`, and waits for a thread that blocks.
    if blocks { #expect(eventually { execution.next()?.kind == .started }) }
    execution.cancel()
    release.signal()
    let records = records(of: execution)
    guard case .cancelled = records.last?.ending else {
      Issue.record("ended with \(records.map(\.kind))")
      return
    }
    #expect(records.count == 1)
    #expect(starts.value == 0)
  }

  @Test func aCancelReachesTheHandlersOfAWaitingAgentWhileAllLanesAreBlocked() {
    let stage = Stage(threads: 2)
    let (waits, handled, release) = (
      DispatchSemaphore(value: 0), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0)
    )
    let execution = stage.execution(ring: 16)
    execution.start(
      AsyncAgent { _, _ in
        let (nothing, source) = AsyncStream<Never>.makeStream()
        await withTaskCancellationHandler {
          waits.signal()
          for await _ in nothing {}
        } onCancel: {
          handled.signal()
        }
        withExtendedLifetime(source) {}
        throw CancellationError()
      }, input: [:])
    #expect(waits.wait(timeout: .now() + 20) == .success)
    for pool in [stage.workers.cooperative, stage.workers.blocking] {
      for _ in 0..<4 { pool.async { release.wait() } }
    }
    execution.cancel()
    #expect(handled.wait(timeout: .now() + 10) == .success)
    for _ in 0..<8 { release.signal() }
    #expect(records(of: execution).last?.ending != nil)
  }

  @Test func handlersThatBlockHoldUpNeitherTheParsingNorOtherCancels() {
    let stage = Stage()
    let (handled, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    for _ in 1..<Limits.cancellingLanesMax { stage.workers.cancelling.async { release.wait() } }
    stage.workers.cancelling.async { handled.signal() }
    #expect(handled.wait(timeout: .now() + 10) == .success)
    for _ in 0..<8 { stage.workers.cancelling.async { release.wait() } }
    stage.workers.parsing.async { handled.signal() }
    #expect(handled.wait(timeout: .now() + 10) == .success)
    for _ in 0..<16 { release.signal() }
  }

  @Test func agentsThatBlockEveryThreadOfTheirsLeaveTheServersAlone() {
    let workers = Workers(cores: 2, threads: 240)
    let (held, release, done) = (Count(), DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    for pool in [workers.cooperative, workers.blocking] {
      for _ in 0..<240 {
        pool.async {
          held.add()
          release.wait()
        }
      }
    }
    #expect(eventually { held.value == 2 * Limits.workerThreadsMax })
    // A library of an agent's takes the rest.
    let queues = (0..<40).map { DispatchQueue(label: "library.\($0)") }
    for queue in queues {
      queue.async {
        held.add()
        release.wait()
      }
    }
    workers.parsing.async { done.signal() }
    workers.cancelling.async { done.signal() }
    for _ in 0..<2 { #expect(done.wait(timeout: .now() + 10) == .success) }
    for _ in 0..<(480 + 40) { release.signal() }
    #expect(eventually { held.value == 480 + 40 })
  }

  @Test func closingReleasesEveryEmitterThatWaits() {
    let stage = Stage()
    let ended = DispatchSemaphore(value: 0)
    for agent in [
      AsyncAgent { _, context in
        defer { ended.signal() }
        while true { try await context.emitToken("x") }
      },
      BlockingAgent { _, context in
        defer { ended.signal() }
        while true { try context.emitToken("x") }
      },
    ] as [any Agent] {
      let execution = stage.execution()
      execution.start(agent, input: [:])
      #expect(eventually { execution.hasWaiters.load(ordering: .relaxed) })
      execution.close()
      #expect(ended.wait(timeout: .now() + 10) == .success, "\(type(of: agent))")
    }
  }

  @Test func anEmitterThatRegistersBehindTheCancelOrTheEndDoesNotSleep() async throws {
    for end in [{ $0.cancel() }, { $0.close() }] as [@Sendable (Execution) -> Void] {
      let stage = Stage()
      let execution = stage.execution()
      let record = execution.encoder.record(.token) { _ in }
      while execution.push(record) {}
      end(execution)
      let awake = DispatchSemaphore(value: 0)
      let isPushed = execution.wait(.thread(awake), record)
      #expect(!isPushed)
      #expect(awake.wait(timeout: .now()) == .success)
      let resumed = Count()
      // On threads that no other test blocks.
      Task(executorPreference: stage.workers.cooperative) {
        await execution.waitForRoom { !execution.isRunning }
        resumed.add()
      }
      #expect(eventually { resumed.value == 1 })
    }
  }

  @Test func nothingIsEmittedAfterTheEnd() {
    let stage = Stage()
    let kept = Locked<StreamContext?>(nil)
    let execution = stage.execution(ring: 16)
    execution.start(
      AsyncAgent { _, context in
        kept.withLock { $0 = context }
        return [:]
      }, input: [:])
    #expect(records(of: execution).map(\.kind) == [.started, .complete])
    execution.close()
    guard let context = kept.withLock({ $0 }) else {
      Issue.record("the agent did not run")
      return
    }
    #expect(context.isCancelled)
    let emits: [@Sendable () throws -> Void] = [
      { try context.emitToken("late") }, { try context.emitProgress("late", 1) },
      { try context.emitStep("late") }, { try context.checkpoint("late", [:]) }, { try context.emit("late") },
    ]
    for emit in emits { #expect(throws: CancellationError.self) { try emit() } }
    let late = execution.next()
    #expect(late == nil)
  }
}

private final class Count: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .relaxed) }
  func add() { count.add(1, ordering: .relaxed) }
}
