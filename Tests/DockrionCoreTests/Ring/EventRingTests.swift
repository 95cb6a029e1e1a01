import Dispatch
import Glibc
import Synchronization
import Testing

@testable import DockrionCore

private final class Item: Sendable {
  let producer: Int
  let number: Int

  init(_ producer: Int, _ number: Int) {
    self.producer = producer
    self.number = number
  }
}

@Suite struct EventRingTests {
  @Test func emptyRingGivesNothing() {
    let ring = EventRing<Item>(capacity: 4)
    let nothing = ring.pop()
    #expect(nothing == nil)
  }

  @Test(arguments: [2, 3, 4, 16, 17, 64, 100, 1024])
  func ringHoldsAtLeastItsCapacityAndRefusesMoreThanTwice(_ capacity: Int) {
    let ring = EventRing<Item>(capacity: capacity)
    var pushed = 0
    while pushed < capacity * 4, ring.push(Item(0, pushed)) { pushed += 1 }
    #expect(pushed >= capacity)
    #expect(pushed <= max(4, capacity * 4 - 1), "the ring never said that it is full")
    var isFull = ring.isFull
    #expect(isFull)
    for number in 0..<pushed {
      let popped = ring.pop()
      #expect(popped?.number == number)
    }
    let nothing = ring.pop()
    #expect(nothing == nil)
    isFull = ring.isFull
    #expect(!isFull)
    let hasRoom = ring.push(Item(0, 0))
    #expect(hasRoom)
  }

  /// As a producer does that the kernel stops between taking its place and filling it, while others make the ring grow.
  @Test(arguments: [0, 7, 15]) func aPlaceThatIsFilledLateKeepsItsTurn(_ late: Int) {
    let ring = EventRing<Item>(capacity: 1024)
    var pushed = 0
    for number in 0..<late where ring.push(Item(0, number)) { pushed += 1 }
    let place = ring.takePlace()
    // Sixteen places are the first segment's; what comes behind them closes it.
    for number in (late + 1)..<100 where ring.push(Item(0, number)) { pushed += 1 }
    #expect(pushed == 99)
    var taken: [Int] = []
    while let item = ring.pop() { taken.append(item.number) }
    #expect(taken == Array(0..<late), "what stands behind the place waits for it")
    place?.fill(Item(0, late))
    while let item = ring.pop() { taken.append(item.number) }
    #expect(taken == Array(0..<100))
  }

  @Test func whatIsLeftInARingIsFreedWithIt() {
    weak var left: Item?
    do {
      let ring = EventRing<Item>(capacity: 8)
      let item = Item(0, 0)
      left = item
      let isPushed = ring.push(item)
      #expect(isPushed)
    }
    #expect(left == nil)
  }

  @Test(arguments: [2, 4, 64, 1024])
  func manyProducersLoseNothingAndKeepTheirOrder(_ capacity: Int) {
    let ring = EventRing<Item>(capacity: capacity)
    let producers = 6
    let each = 20_000
    let started = DispatchGroup()
    for producer in 0..<producers {
      DispatchQueue(label: "producer.\(producer)").async(group: started) {
        for number in 0..<each {
          let item = Item(producer, number)
          while !ring.push(item) { sched_yield() }
        }
      }
    }
    var next = [Int](repeating: 0, count: producers)
    var taken = 0
    var wrong = 0
    while taken < producers * each {
      guard let item = ring.pop() else {
        sched_yield()
        continue
      }
      if item.number != next[item.producer] { wrong += 1 }
      next[item.producer] = item.number + 1
      taken += 1
      if taken % 5000 == 0 { usleep(1000) }
    }
    started.wait()
    #expect(wrong == 0)
    #expect(next == [Int](repeating: each, count: producers))
    let nothing = ring.pop()
    #expect(nothing == nil)
  }
}

private final class Marked: LoopItem, @unchecked Sendable {
  let pending = Atomic<Int>(0)
}

@Suite struct InboxTests {
  @Test func manyMarksOfOneItemAreOneAnnouncementAndOneWakeUp() {
    let wakeUps = WakeCounter()
    let queue = Inbox { wakeUps.count.add(1, ordering: .relaxed) }
    #expect(queue.park())
    let item = Marked()
    for _ in 0..<100 { queue.mark(item) }
    queue.mark(Marked())
    #expect(wakeUps.count.load(ordering: .relaxed) == 1)
    var taken = 0
    queue.takeAll { _ in taken += 1 }
    #expect(taken == 2)
  }

  @Test func itemsComeInTheOrderOfTheirMarks() {
    let queue = Inbox {}
    let items = (0..<10).map { _ in Marked() }
    for item in items { queue.mark(item) }
    var taken: [Marked] = []
    queue.takeAll { if let item = $0 as? Marked { taken.append(item) } }
    #expect(taken.count == 10)
    #expect(zip(items, taken).allSatisfy { $0 === $1 })
  }

  @Test func aMarkBeforeParkingForbidsIt() {
    let queue = Inbox {}
    queue.mark(Marked())
    #expect(!queue.park())
    queue.takeAll { _ in }
    #expect(queue.park())
  }

  @Test func whatIsMarkedWhileItIsLookedIntoComesAgain() {
    let wakeUps = WakeCounter()
    let queue = Inbox { wakeUps.count.add(1, ordering: .relaxed) }
    let item = Marked()
    queue.mark(item)
    var taken = 0
    queue.takeAll { item in
      taken += 1
      if taken == 1 { queue.mark(item) }
    }
    #expect(taken == 1)
    #expect(!queue.park())
    queue.takeAll { _ in taken += 1 }
    #expect(taken == 2)
    #expect(queue.park())
  }

  @Test func aLoopThatIsAwakeIsNotWoken() {
    let wakeUps = WakeCounter()
    let queue = Inbox { wakeUps.count.add(1, ordering: .relaxed) }
    #expect(queue.park())
    queue.unpark()
    queue.mark(Marked())
    #expect(wakeUps.count.load(ordering: .relaxed) == 0)
    #expect(!queue.park())
  }

  @Test func eachItemHearsOfItOnTheLoop() {
    final class Heard: LoopItem, @unchecked Sendable {
      let times = Atomic<Int>(0)
      override func onLoop() { times.add(1, ordering: .relaxed) }
    }
    let inbox = Inbox {}
    let items = (0..<3).map { _ in Heard() }
    for item in items + items { inbox.mark(item) }
    inbox.takeAll()
    inbox.mark(items[1])
    inbox.takeAll()
    #expect(items.map { $0.times.load(ordering: .relaxed) } == [1, 2, 1])
  }

  /// One marker that waits for its answer: nobody's next mark makes up for a wake-up that got lost.
  @Test func everySingleMarkWakes() {
    let semaphore = DispatchSemaphore(value: 0)
    let queue = Inbox { semaphore.signal() }
    let item = Marked()
    let answered = Atomic<Int>(0)
    let rounds = 50_000
    let group = DispatchGroup()
    DispatchQueue(label: "marker").async(group: group) {
      for round in 0..<rounds {
        // From the consumer's park to long before it, so that the two meet everywhere.
        for _ in 0..<(round % 64) { _ = answered.load(ordering: .sequentiallyConsistent) }
        item.pending.add(1, ordering: .relaxed)
        queue.mark(item)
        while answered.load(ordering: .acquiring) <= round {
          if round % 3 == 0 { sched_yield() }
          if answered.load(ordering: .relaxed) == .max { return }
        }
      }
    }
    var taken = 0
    while taken < rounds {
      if queue.park(), semaphore.wait(timeout: .now() + .seconds(20)) == .timedOut {
        Issue.record("asleep with mark \(taken + 1) of \(rounds)")
        answered.store(.max, ordering: .sequentiallyConsistent)
        break
      }
      queue.unpark()
      queue.takeAll { taken += ($0 as? Marked)?.pending.exchange(0, ordering: .relaxed) ?? 0 }
      answered.store(taken, ordering: .releasing)
    }
    group.wait()
  }

  @Test func noWakeUpIsLost() {
    let semaphore = DispatchSemaphore(value: 0)
    let queue = Inbox { semaphore.signal() }
    let items = (0..<8).map { _ in Marked() }
    let each = 20_000
    let group = DispatchGroup()
    for (index, item) in items.enumerated() {
      DispatchQueue(label: "marker.\(index)").async(group: group) {
        for _ in 0..<each {
          item.pending.add(1, ordering: .relaxed)
          queue.mark(item)
        }
      }
    }
    var taken = 0
    while taken < items.count * each {
      if queue.park() {
        guard semaphore.wait(timeout: .now() + .seconds(20)) == .success else {
          Issue.record("asleep with \(items.count * each - taken) marks left")
          return
        }
      }
      queue.unpark()
      queue.takeAll { taken += ($0 as? Marked)?.pending.exchange(0, ordering: .relaxed) ?? 0 }
    }
    group.wait()
    #expect(taken == items.count * each)
  }
}

private final class WakeCounter: Sendable {
  let count = Atomic<Int>(0)
}
