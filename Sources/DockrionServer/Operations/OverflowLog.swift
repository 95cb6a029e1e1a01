import DockrionCore
import DockrionLoop
import Logging

/// Counts connections that were closed to keep within `runtime.max_buffered_bytes`, and says so once a second.
final class OverflowLog {
  private let metrics: Metrics
  private let deadlines: Deadlines
  private let logger: Logger
  private var toldAt: Int64 = 0

  init(_ metrics: Metrics, _ deadlines: Deadlines, _ logger: Logger) {
    (self.metrics, self.deadlines, self.logger) = (metrics, deadlines, logger)
  }

  func closed(_ bytes: Int) {
    metrics.overflows += 1
    guard deadlines.now - toldAt >= Clock.second else { return }
    toldAt = deadlines.now
    logger.warning(
      "runtime.max_buffered_bytes is reached: closed a connection with \(bytes) waiting bytes, \(metrics.overflows) in all"
    )
  }
}
