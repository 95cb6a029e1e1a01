import DockrionLoop
import Logging

/// libevent's warnings in the log.
enum LibeventMessages {
  private static let logger = Logger(label: "libevent")

  /// Whichever server of the process is made first sends them there.
  static let areLogged: Bool = {
    LibeventLog.send { logger.warning("\($0)") }
    return true
  }()
}
