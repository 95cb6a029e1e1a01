import Testing

@testable import DockrionLoop

@Suite struct DeadlineQueuesTests {
  private final class Target: DeadlineTarget {
    var passed: [UInt8] = []
    var onPass: ((UInt8) -> Void)?

    func deadlinePassed(_ tag: UInt8) {
      passed.append(tag)
      onPass?(tag)
    }
  }

  @Test func deadlinesPassInTimeAndOnce() {
    let queues = DeadlineQueues()
    let target = Target()
    _ = queues.set(after: 100, now: 0, target, tag: 1)
    _ = queues.set(after: 50, now: 0, target, tag: 2)
    _ = queues.set(after: 100, now: 10, target, tag: 3)
    #expect(queues.earliest == 50)
    queues.pass(now: 49)
    #expect(target.passed == [])
    queues.pass(now: 100)
    #expect(target.passed.sorted() == [1, 2])
    #expect(queues.earliest == 110)
    queues.pass(now: 1000)
    #expect(target.passed.sorted() == [1, 2, 3])
    #expect(queues.earliest == nil)
    #expect(queues.count == 0)
  }

  @Test func aRenewedDeadlineStartsAnewAndAClearedOneIsGone() {
    let queues = DeadlineQueues()
    let target = Target()
    let renewed = queues.set(after: 100, now: 0, target, tag: 1)
    let cleared = queues.set(after: 100, now: 0, target, tag: 2)
    queues.renew(renewed, now: 60)
    queues.clear(cleared)
    queues.clear(cleared)
    queues.pass(now: 159)
    #expect(target.passed == [])
    queues.pass(now: 160)
    #expect(target.passed == [1])
    let reused = queues.set(after: 100, now: 200, target, tag: 3)
    queues.clear(cleared)
    queues.clear(renewed)
    #expect(queues.count == 1)
    queues.clear(reused)
    #expect(queues.earliest == nil)
  }

  @Test func aDeadlineThatIsHandedOnKeepsItsMoment() {
    let queues = DeadlineQueues()
    let (first, second) = (Target(), Target())
    let token = queues.set(after: 100, now: 0, first, tag: 1)
    #expect(queues.hand(token, to: second, tag: 2))
    queues.pass(now: 99)
    #expect(second.passed == [])
    queues.pass(now: 100)
    #expect(first.passed == [] && second.passed == [2])
    #expect(!queues.hand(token, to: first))
    #expect(queues.count == 0)
  }

  @Test func atargetMaySetAndClearWhileDeadlinesPass() {
    let queues = DeadlineQueues()
    let target = Target()
    var second: DeadlineQueues.Token?
    target.onPass = { tag in
      if tag == 1 {
        queues.clear(second)
        _ = queues.set(after: 10, now: 100, target, tag: 9)
      }
    }
    _ = queues.set(after: 100, now: 0, target, tag: 1)
    second = queues.set(after: 100, now: 0, target, tag: 2)
    queues.pass(now: 100)
    #expect(target.passed == [1])
    queues.pass(now: 110)
    #expect(target.passed == [1, 9])
  }
}
