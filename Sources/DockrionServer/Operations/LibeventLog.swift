import Logging

/// Where libevent's own warnings go: it has one callback for the whole process.
enum LibeventLog {
  private static let logger = Logger(label: "libevent")

  static func write(_ message: String) { logger.warning("\(message)") }
}
