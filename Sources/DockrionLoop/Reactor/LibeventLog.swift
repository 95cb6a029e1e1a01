import CLibevent
import DockrionCore
import Glibc

/// Where libevent's own warnings go: it has one callback for the whole process.
package enum LibeventLog {
  private static let receiver = Locked<(@Sendable (String) -> Void)?>(nil)

  /// One callback for all loops of the process, set once.
  static let isAttached: Bool = {
    event_set_log_callback { severity, message in
      if severity >= EVENT_LOG_WARN, let message { write(String(cString: message)) }
    }
    return true
  }()

  /// Gives what libevent says to `body`, on whichever loop's thread it is said; before that, standard error has it.
  package static func send(to body: @escaping @Sendable (String) -> Void) {
    receiver.withLock { $0 = body }
  }

  private static func write(_ message: String) {
    if let body = receiver.withLock({ $0 }) { return body(message) }
    _ = (message + "\n").withCString { Glibc.write(STDERR_FILENO, $0, strlen($0)) }
  }
}
