import Glibc
import Testing

@testable import DockrionCore

@Suite struct ClockTests {
  /// In a process of its own: everybody who asks for the time looks at the clocks anew now and then.
  @Test func aThreadThatWasHeldUpSetsNobodysTimestampsWrong() async {
    await #expect(processExitsWith: .success) {
      _ = Clock.wallNanoseconds(at: Clock.monotonicNanoseconds())
      usleep(400_000)
      // As if this thread had read the monotonic clock 80 ms ago, and had been held up since.
      _ = Clock.wallNanoseconds(at: Clock.monotonicNanoseconds() - 80_000_000)
      let before = Clock.wallNanoseconds()
      let shown = Clock.wallNanoseconds(at: Clock.monotonicNanoseconds())
      let after = Clock.wallNanoseconds()
      #expect(shown > before - 1_000_000 && shown < after + 1_000_000, "\(shown - before) ns")
    }
  }

  @Test func theWallClockAtAMomentIsTheWallClock() {
    for _ in 0..<1000 {
      let (before, moment) = (Clock.wallNanoseconds(), Clock.monotonicNanoseconds())
      let shown = Clock.wallNanoseconds(at: moment)
      let after = Clock.wallNanoseconds()
      #expect(shown > before - 100_000_000 && shown < after + 100_000_000)
    }
  }
}
