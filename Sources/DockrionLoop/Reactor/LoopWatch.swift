import CLibevent
import Glibc

/// A descriptor's readiness, as long as somebody holds on to this and has started it.
///
/// The descriptor belongs to whoever made the watch, which must be stopped or gone before the descriptor is closed.
package final class LoopWatch {
  package struct Interest: OptionSet, Sendable {
    package let rawValue: Int16

    package init(rawValue: Int16) { self.rawValue = rawValue }

    package static let read = Interest(rawValue: Int16(EV_READ))
    package static let write = Interest(rawValue: Int16(EV_WRITE))
  }

  private var event: OpaquePointer?
  private let body: (Interest) -> Void
  package private(set) var isStarted = false

  /// - Parameter body: told of what is ready, again and again as long as it is.
  package init(
    _ loop: EventLoop, _ descriptor: Int32, _ interest: Interest, _ body: @escaping (Interest) -> Void
  ) {
    self.body = body
    event = event_new(
      loop.base, descriptor, interest.rawValue | Int16(EV_PERSIST),
      { _, what, me in
        let me = Unmanaged<LoopWatch>.fromOpaque(me!).takeUnretainedValue()
        me.body(Interest(rawValue: what).intersection([.read, .write]))
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  package func start() {
    guard !isStarted, let event else { return }
    isStarted = event_add(event, nil) == 0
  }

  package func stop() {
    guard isStarted, let event else { return }
    event_del(event)
    isStarted = false
  }

  deinit { if let event { event_free(event) } }
}
