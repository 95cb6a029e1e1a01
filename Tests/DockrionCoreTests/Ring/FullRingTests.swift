import Dispatch
import Glibc
import Synchronization
import Testing

@testable import DockrionCore

/// Rings that grow while several producers push. Run them in a release build too: `make test-release`.
@Suite struct FullRingTests {
  private final class Item: Sendable {
    let producer: Int
    let number: Int

    init(_ producer: Int, _ number: Int) {
      self.producer = producer
      self.number = number
    }
  }

  private final class Round: Sendable {
    let ring = EventRing<Item>(capacity: 256)
    let arrived = Atomic<Int>(0)
    let left = Atomic<Int>(0)
    let pushed = Atomic<Int>(0)

    /// Lets the producers begin at once, as far as the machine has cores for them.
    func meet(_ count: Int) {
      arrived.add(1, ordering: .sequentiallyConsistent)
      while arrived.load(ordering: .acquiring) < count { sched_yield() }
    }
  }

  private static let producers = 4
  private static let rounds = 8000

  /// - Parameter each: pushes of a producer in a round; nil until the ring refuses.
  private func play(_ rounds: [Round], each: Int?, _ consume: (Round) -> Void) {
    let group = DispatchGroup()
    for producer in 0..<Self.producers {
      DispatchQueue(label: "producer.\(producer)").async(group: group) {
        for round in rounds {
          round.meet(Self.producers + 1)
          var number = 0
          while number < each ?? .max {
            if round.ring.push(Item(producer, number)) {
              number += 1
            } else if each == nil {
              break
            } else {
              sched_yield()
            }
          }
          round.pushed.add(number, ordering: .relaxed)
          round.left.add(1, ordering: .sequentiallyConsistent)
        }
      }
    }
    for round in rounds {
      round.meet(Self.producers + 1)
      consume(round)
    }
    group.wait()
  }

  @Test func aRingThatGrowsUnderFourProducersLosesNothing() {
    let each = 120
    var (lost, disordered) = (0, 0)
    play((0..<Self.rounds).map { _ in Round() }, each: each) { round in
      var next = [Int](repeating: 0, count: Self.producers)
      var isOver = false
      var taken = 0
      while true {
        if let item = round.ring.pop() {
          taken += 1
          // A consumer that keeps up would leave the ring small.
          if taken % 8 == 0 { sched_yield() }
          if item.number != next[item.producer] { disordered += 1 }
          next[item.producer] = item.number + 1
          continue
        }
        // What was pushed before the last producer left is there now.
        if isOver { break }
        isOver = round.left.load(ordering: .sequentiallyConsistent) == Self.producers
        if !isOver { sched_yield() }
      }
      if next != [Int](repeating: each, count: Self.producers) { lost += 1 }
    }
    #expect(lost == 0, "rounds of \(Self.rounds)")
    #expect(disordered == 0, "items")
  }

  @Test func aRingThatRefusesIsFullAndHoldsWhatItTook() {
    var (open, lost, disordered) = (0, 0, 0)
    play((0..<Self.rounds).map { _ in Round() }, each: nil) { round in
      while round.left.load(ordering: .sequentiallyConsistent) < Self.producers { sched_yield() }
      let isFull = round.ring.isFull
      if !isFull { open += 1 }
      var next = [Int](repeating: 0, count: Self.producers)
      while let item = round.ring.pop() {
        if item.number != next[item.producer] { disordered += 1 }
        next[item.producer] = item.number + 1
      }
      if next.reduce(0, +) != round.pushed.load(ordering: .relaxed) { lost += 1 }
    }
    #expect(open == 0, "rounds of \(Self.rounds) end with a ring that refuses and says that it has room")
    #expect(lost == 0, "rounds of \(Self.rounds)")
    #expect(disordered == 0, "items")
  }

  /// In a process of its own, so that no other test's work counts.
  @Test func emittersOfAFullRingSleep() async {
    await #expect(processExitsWith: .success) {
      let (executions, tasks) = (3000, 8)
      let counters = WorkerCounters()
      let inbox = Inbox {}
      let environment = Execution.Environment(
        Execution.Description(agentName: "test", framework: "swift"),
        Execution.Outlet(filter: .everything, hasEvents: true), ringCapacity: 256, inbox: inbox,
        workers: Workers(cores: 2, threads: 16), counters: counters)
      let agent = AsyncAgent { _, context in
        await withTaskGroup(of: Void.self) { group in
          for _ in 0..<tasks {
            group.addTask { while (try? await context.emitToken("x")) != nil {} }
          }
        }
        return [:]
      }
      let kept = (0..<executions).map {
        Execution(slot: $0, encoder: EventEncoder(identity: .run("r")), environment)
      }
      for execution in kept { execution.start(agent, input: [:]) }
      let end = Clock.monotonicNanoseconds() + 120_000_000_000
      while counters.ringFullWaits.load(ordering: .relaxed) < executions * tasks,
        Clock.monotonicNanoseconds() < end
      {
        usleep(20_000)
      }
      #expect(counters.ringFullWaits.load(ordering: .relaxed) == executions * tasks)
      // The last of them have still to get to their sleep.
      usleep(200_000)
      func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) {
          $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6
        }
      }
      let before = processorSeconds()
      sleep(2)
      #expect(processorSeconds() - before < 0.2)
      for execution in kept { execution.close() }
    }
  }
}
