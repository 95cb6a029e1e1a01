import DockrionCore
import Logging

/// Lines of one process in the server's log: so many in a second, the rest is counted.
struct PythonLog {
  private static let second: Int64 = 1_000_000_000
  private let logger: Logger
  private var lines = 0
  private var unlisted = 0
  private var since: Int64 = 0

  init(_ logger: Logger) { self.logger = logger }

  /// The level that one of Python's numbers stands for. `print` is one for people: a notice.
  static func level(_ number: Int) -> Logger.Level {
    switch number {
    case 50...: .critical
    case 40...: .error
    case 30...: .warning
    case 20...: .info
    default: .debug
    }
  }

  /// - Parameters:
  ///   - name: the logger's; empty for `print`.
  ///   - run: whose line it is, where that is known.
  mutating func write(
    _ line: String, level: Logger.Level, name: String = "", pid: Int32?,
    run: EventEncoder.Identity? = nil, now: Int64
  ) {
    let level = name.isEmpty && level == .info ? .notice : level
    guard logger.logLevel <= level else { return }
    if now - since >= Self.second {
      tellUnlisted(pid)
      (since, lines) = (now, 0)
    }
    lines += 1
    guard lines <= Limits.pythonLinesPerSecond else {
      unlisted += 1
      return
    }
    var metadata: Logger.Metadata = [:]
    if let pid { metadata["process"] = "\(pid)" }
    if !name.isEmpty { metadata["logger"] = "\(name)" }
    switch run {
    case .run(let id): metadata["run_id"] = "\(id)"
    case .request(let id): metadata["request_id"] = "\(id)"
    case nil: break
    }
    logger.log(level: level, "\(line)", metadata: metadata)
  }

  /// Says how many lines were not written.
  mutating func tellUnlisted(_ pid: Int32?) {
    guard unlisted > 0 else { return }
    logger.warning(
      "\(unlisted) more lines of this process within a second",
      metadata: ["process": "\(pid ?? 0)", "unlisted": "\(unlisted)"])
    unlisted = 0
  }
}
