import CLibevent
import DockrionCore

/// A connection that evhttp has let go of while its client was still sending.
///
/// To close it at once would make the kernel send a reset, and the client would lose the reply that says why. What
/// the client still sends is read and dropped, until it closes, pauses for long, or has had long enough.
final class LingeringClose: DeadlineTarget {
  private enum Tag {
    static let pause: UInt8 = 0
    static let total: UInt8 = 1
  }

  private unowned let listener: HTTPListener
  private let buffer: OpaquePointer
  private var pause: DeadlineQueues.Token?
  private var total: DeadlineQueues.Token?

  /// Keeps the bufferevent, and with it the socket, after evhttp has freed its connection.
  init(_ buffer: OpaquePointer, _ listener: HTTPListener) {
    self.buffer = buffer
    self.listener = listener
    bufferevent_incref(buffer)
  }

  /// Reads on; for the listener, once evhttp's own freeing is over.
  func begin() {
    bufferevent_setcb(
      buffer, { _, me in Unmanaged<LingeringClose>.fromOpaque(me!).takeUnretainedValue().drop() }, nil,
      { _, _, me in
        let me = Unmanaged<LingeringClose>.fromOpaque(me!).takeUnretainedValue()
        me.listener.closeSoon(me)
      }, Unmanaged.passUnretained(self).toOpaque())
    bufferevent_setwatermark(buffer, Int16(EV_READ), 0, 0)
    pause = set(Limits.lingeringPauseSeconds, Tag.pause)
    total = set(Limits.lingeringSeconds, Tag.total)
    bufferevent_enable(buffer, Int16(EV_READ))
    drop()
  }

  private func set(_ seconds: Int, _ tag: UInt8) -> DeadlineQueues.Token {
    listener.deadlines.set(after: Int64(seconds) * Clock.second, now: listener.now, self, tag: tag)
  }

  private func drop() {
    let input = bufferevent_get_input(buffer)
    evbuffer_drain(input, evbuffer_get_length(input))
    if let pause { listener.deadlines.renew(pause, now: listener.now) }
  }

  func deadlinePassed(_ tag: UInt8) { listener.closeSoon(self) }

  /// Closes the socket; for the listener, at the end of a tick.
  func free() {
    listener.deadlines.clear(pause)
    listener.deadlines.clear(total)
    bufferevent_setcb(buffer, nil, nil, nil, nil)
    bufferevent_disable(buffer, Int16(EV_READ | EV_WRITE))
    bufferevent_decref(buffer)
  }
}
