import CLibevent
import DockrionCore
import Glibc

/// The reactor: one `event_base`, driven by one thread, woken by one `eventfd`.
///
/// Nothing here may be called from another thread, except `Wakeup.wake`.
package final class EventLoop {
  package let base: OpaquePointer
  package let wakeup: Wakeup
  private let thread = pthread_self()
  private var wakeEvent: OpaquePointer?
  private var timer: OpaquePointer?
  private var signals: [OpaquePointer] = []
  private var timerAt: Int64?
  private var onSignal: ((Int32) -> Void)?
  private var readAt: Int64 = 0

  package init() throws(LoopError) {
    _ = LibeventLog.isAttached
    guard let config = event_config_new() else {
      throw LoopError(.libeventFailed, "no memory for the event loop")
    }
    defer { event_config_free(config) }
    // The eventfd is the only crossing between threads, and no descriptor is duplicated.
    let flags = EVENT_BASE_FLAG_NOLOCK.rawValue | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST.rawValue
    event_config_set_flag(config, Int32(flags))
    guard let base = event_base_new_with_config(config) else {
      throw LoopError(.libeventFailed, errno: errno, "cannot create an event loop")
    }
    self.base = base
    wakeup = try Wakeup()
    let me = Unmanaged.passUnretained(self).toOpaque()
    // Edge-triggered: each write to the eventfd is one edge, so the counter need not be read.
    wakeEvent = event_new(
      base, wakeup.descriptor, Int16(EV_READ | EV_PERSIST) | Int16(EV_ET), { _, _, _ in }, nil)
    timer = event_new(
      base, -1, 0, { _, _, me in Unmanaged<EventLoop>.fromOpaque(me!).takeUnretainedValue().timerAt = nil },
      me)
    guard let wakeEvent, timer != nil, event_add(wakeEvent, nil) == 0 else {
      throw LoopError(.libeventFailed, errno: errno, "cannot watch the wake-up descriptor")
    }
  }

  deinit {
    for event in signals + [wakeEvent, timer].compactMap({ $0 }) { event_free(event) }
    event_base_free(base)
  }

  /// `CLOCK_MONOTONIC` in nanoseconds, read at most once a turn and once after it: for deadlines, which tolerate that.
  package var now: Int64 {
    if readAt == 0 { readAt = Clock.monotonicNanoseconds() }
    return readAt
  }

  /// Reads the clock anew.
  package func refreshNow() -> Int64 {
    readAt = Clock.monotonicNanoseconds()
    return readAt
  }

  /// Runs the callbacks of what is ready; waits for something when `waiting`.
  package func turn(waiting: Bool) {
    readAt = 0
    event_base_loop(base, waiting ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK)
  }

  /// Makes a waiting `turn` return at that moment of `CLOCK_MONOTONIC`, in nanoseconds, or a little after.
  package func wake(at deadline: Int64?, now: Int64) {
    guard let deadline, let timer else { return }
    if let timerAt, timerAt <= deadline { return }
    // Rounded up to a millisecond, so that the deadline has passed when the timer fires.
    let microseconds = max(0, deadline - now) / 1000 + 1000
    var time = timeval(tv_sec: Int(microseconds / 1_000_000), tv_usec: Int(microseconds % 1_000_000))
    event_add(timer, &time)
    timerAt = deadline
  }

  /// Calls `body` in a turn of the loop whenever one of the signals arrives.
  package func handleSignals(_ numbers: [Int32], _ body: @escaping (Int32) -> Void) {
    onSignal = body
    // A parent may have started us with them blocked, and a mask is inherited.
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    let me = Unmanaged.passUnretained(self).toOpaque()
    for number in numbers {
      let event = event_new(
        base, number, Int16(EV_SIGNAL | EV_PERSIST),
        { number, _, me in Unmanaged<EventLoop>.fromOpaque(me!).takeUnretainedValue().onSignal?(number) }, me)
      if let event, event_add(event, nil) == 0 { signals.append(event) }
    }
  }

  /// Gives the signals back to whatever they did before.
  package func releaseSignals() {
    for event in signals { event_free(event) }
    signals.removeAll()
  }

  /// Traps when the caller is on another thread: at borders, where C or a wake-up enters.
  package func preconditionOnLoop() {
    precondition(pthread_equal(thread, pthread_self()) != 0, "this belongs to the event loop's thread")
  }
}

/// The descriptor that wakes a waiting loop from any thread. It outlives the loop for as long as a worker has it.
package final class Wakeup: Sendable {
  package let descriptor: Int32

  package init() throws(LoopError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard descriptor >= 0 else {
      throw LoopError(.libeventFailed, errno: errno, "cannot create an eventfd")
    }
  }

  deinit { close(descriptor) }

  package func wake() {
    var one: UInt64 = 1
    // It fails only when the counter is full, and then the loop has an edge already.
    _ = write(descriptor, &one, 8)
  }
}
