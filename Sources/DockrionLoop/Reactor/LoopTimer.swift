import CLibevent
import Glibc

/// A timer of any length, for one owner. Delays that many things share belong into `DeadlineQueues`.
package final class LoopTimer {
  private var event: OpaquePointer?
  private let body: () -> Void

  /// - Parameter body: called in a turn of the loop, once for each `set`.
  package init(_ loop: EventLoop, _ body: @escaping () -> Void) {
    self.body = body
    event = event_new(
      loop.base, -1, 0,
      { _, _, me in Unmanaged<LoopTimer>.fromOpaque(me!).takeUnretainedValue().body() },
      Unmanaged.passUnretained(self).toOpaque())
  }

  /// Starts it anew.
  ///
  /// - Parameter microseconds: from now on; 0 is the next turn of the loop.
  package func set(microseconds: Int) {
    guard let event else { return }
    let rest = max(0, microseconds)
    var time = timeval(tv_sec: rest / 1_000_000, tv_usec: rest % 1_000_000)
    event_add(event, &time)
  }

  package func clear() {
    if let event { event_del(event) }
  }

  deinit { if let event { event_free(event) } }
}
