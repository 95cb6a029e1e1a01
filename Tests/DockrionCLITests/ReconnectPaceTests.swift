import DockrionCore
import Testing

@testable import DockrionCLI

struct ReconnectPaceTests {
  /// A clock that stands still.
  private func pace() -> ReconnectPace {
    var pace = ReconnectPace(now: { 1_000_000_000 })
    pace.begin()
    return pace
  }

  @Test func afterABreakItWaitsTwiceAsLongEachTimeUpToABound() {
    var pace = pace()
    #expect(
      (0..<4).map { _ in pace.next(hasLearned: false, retryMilliseconds: 2000) } == [
        2000, 4000, 8000, 16_000,
      ])
    #expect((0..<30).allSatisfy { _ in pace.next(hasLearned: false, retryMilliseconds: 2000) == 30_000 })
    #expect(pace.next(hasLearned: true, retryMilliseconds: 1000) == 1000)
    #expect(pace.next(hasLearned: false, retryMilliseconds: Int.max) == 30_000)
  }

  @Test func aServerThatAsksForNoPauseGetsAGrowingOneUntilItBringsSomething() {
    var pace = pace()
    for retry in [nil, 0, 1] as [Int?] {
      #expect(pace.next(hasLearned: true, retryMilliseconds: retry) == 200)
      let delays = (0..<6).map { _ in pace.next(hasLearned: false, retryMilliseconds: retry) }
      #expect(delays == [200, 400, 800, 1600, 2000, 2000])
    }
  }

  @Test func theTimeOfTheConnectionCounts() {
    var now: Int64 = 0
    var pace = ReconnectPace(now: { now })
    pace.begin()
    now += 150_900_000
    #expect(pace.next(hasLearned: true) == 50)
    now += 1_000_000_000
    #expect(pace.next(hasLearned: true) == 0)
    #expect(pace.next(hasLearned: false) == 200)
  }
}
