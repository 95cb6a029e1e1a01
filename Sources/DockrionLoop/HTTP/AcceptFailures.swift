import DockrionCore
import Synchronization

/// Listeners whose `accept` has failed, of all servers of the process: libevent gives the callback no context of
/// ours, and a C function can capture none.
enum AcceptFailures {
  private static let count = Atomic<Int>(0)
  private static let listeners = Locked<Set<OpaquePointer>>([])

  static func add(_ listener: OpaquePointer) {
    listeners.withLock { if $0.insert(listener).inserted { count.add(1, ordering: .relaxed) } }
  }

  /// True when one of these has failed since the last call.
  static func take(_ own: [OpaquePointer]) -> Bool {
    // Each listener is asked about by the thread on which it fails, which sees its own count.
    guard count.load(ordering: .relaxed) > 0 else { return false }
    return listeners.withLock { failed in
      let mine = own.filter { failed.remove($0) != nil }.count
      count.subtract(mine, ordering: .relaxed)
      return mine > 0
    }
  }
}
