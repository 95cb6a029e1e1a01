import DockrionCore
import DockrionLoop
import Logging

/// What went wrong, in the log: section 2 of the wire protocol.
///
/// Failures are errors, every one of them. Refused requests are notices, at most `Limits.refusalLinesPerSecond` of each
/// kind in a second; the number of those without a line of their own follows.
final class FailureLog: DeadlineTarget {
  private struct Kind {
    let level: Logger.Level
    let message: String
    let code: String
    var lines = 0
    var unlisted = 0
  }

  private let logger: Logger
  private let deadlines: DeadlineQueues
  // Few: the codes that the server refuses with. The tag of a deadline is the index.
  private var kinds: [Kind] = []

  init(_ logger: Logger, _ deadlines: DeadlineQueues) {
    self.logger = logger
    self.deadlines = deadlines
  }

  /// An agent has ended with an error, or the server has ended its run or failed to answer.
  func failed(_ message: String, code: String, route: String, _ more: Logger.Metadata) {
    logger.error(
      "\(message)", metadata: more.merging(["code": "\(code)", "route": "\(route)"]) { own, _ in own })
  }

  /// A request was refused with 401, 403 or 429.
  func refused(_ message: String, code: String, route: String, now: Int64, _ more: () -> Logger.Metadata) {
    bounded("refused: \(message)", .notice, code: code, "requests were refused", now: now) {
      more().merging(["route": "\(route)"]) { own, _ in own }
    }
  }

  /// An agent that nobody waits for any more has ended with an error: it decides nothing, and may be a way of being
  /// cancelled.
  func failedLate(_ message: String, code: String, route: String, now: Int64, _ more: () -> Logger.Metadata) {
    let text = "the agent failed after its run had ended: \(message)"
    bounded(text, .notice, code: "LATE", "agents failed after their runs had ended", now: now) {
      more().merging(["route": "\(route)", "code": "\(code)"]) { own, _ in own }
    }
  }

  private func bounded(
    _ text: String, _ level: Logger.Level, code: String, _ message: String, now: Int64,
    _ metadata: () -> Logger.Metadata
  ) {
    guard logger.logLevel <= level else { return }
    let index = kinds.firstIndex { $0.code == code } ?? kinds.count
    if index == kinds.count { kinds.append(Kind(level: level, message: message, code: code)) }
    if kinds[index].lines == 0 {
      _ = deadlines.set(after: Clock.second, now: now, self, tag: UInt8(truncatingIfNeeded: index))
    }
    guard kinds[index].lines < Limits.refusalLinesPerSecond else {
      kinds[index].unlisted += 1
      return
    }
    kinds[index].lines += 1
    logger.log(
      level: level, "\(text)", metadata: metadata().merging(["code": "\(code)"]) { own, _ in own })
  }

  func deadlinePassed(_ tag: UInt8) { tell(Int(tag)) }

  /// Says what has still to be said; for the end.
  func close() { for index in kinds.indices { tell(index) } }

  private func tell(_ index: Int) {
    let kind = kinds[index]
    kinds[index].lines = 0
    kinds[index].unlisted = 0
    guard kind.unlisted > 0 else { return }
    logger.log(
      level: kind.level, "\(kind.unlisted) more \(kind.message) within a second",
      metadata: ["code": "\(kind.code)", "unlisted": "\(kind.unlisted)"])
  }
}
