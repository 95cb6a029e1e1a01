import DockrionCore
import DockrionLoop
import Synchronization

/// Asks a server to stop, from any thread, before or while it serves.
final class StopRequest: Sendable {
  private let made = Atomic<Bool>(false)
  private let wakeup = Locked<Wakeup?>(nil)

  var isMade: Bool { made.load(ordering: .acquiring) }

  func make() {
    made.store(true, ordering: .releasing)
    wakeup.withLock { $0 }?.wake()
  }

  /// From now on `make` wakes the loop. It is woken at once when that was done before: one of the two threads sees
  /// what the other has written.
  func attach(_ wakeup: Wakeup) {
    self.wakeup.withLock { $0 = wakeup }
    if isMade { wakeup.wake() }
  }
}

/// Which server of the process handles signals: libevent can do so for one at a time.
enum SignalOwner {
  private static let isTaken = Atomic<Bool>(false)

  static func take() throws(ServerError) {
    guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    else {
      throw ServerError(
        .signalsTaken,
        "another server of this process handles its signals; start this one without any, and stop it with stop()"
      )
    }
  }

  static func release() { isTaken.store(false, ordering: .releasing) }
}
