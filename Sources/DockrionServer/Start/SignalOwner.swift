import Synchronization

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
