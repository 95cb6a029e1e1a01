import DockrionCore
import DockrionLoop
import Synchronization

/// Asks a server for something, from any thread, before or while it serves.
final class LoopRequest: Sendable {
  private let made = Atomic<Bool>(false)
  private let wakeup = Locked<Wakeup?>(nil)

  var isMade: Bool { made.load(ordering: .acquiring) }

  func make() {
    made.store(true, ordering: .releasing)
    wakeup.withLock { $0 }?.wake()
  }

  /// True when it was made since the last call; for the loop, which asks at every turn.
  func take() -> Bool { isMade && made.exchange(false, ordering: .acquiring) }

  /// From now on `make` wakes the loop. It is woken at once when that was done before: one of the two threads sees
  /// what the other has written.
  func attach(_ wakeup: Wakeup) {
    self.wakeup.withLock { $0 = wakeup }
    if isMade { wakeup.wake() }
  }
}
