import DockrionCore
import DockrionLoop
import Logging

/// One JSON line for each request, written at its end: `--access-log`.
///
/// Lines are gathered on the loop and handed to `LineFile` together, at the latest `flushNanoseconds` after the first.
final class AccessLog: DeadlineTarget {
  /// What is known of a request that is over.
  struct Entry {
    var method: String
    /// The route's label in the metrics.
    var route: String
    /// Without the query, percent-encoded as it was sent.
    var path: String
    /// 499 when the client went before it was answered.
    var status: Int
    /// Of the reply, with its head, as far as the socket took them.
    var bytes: Int
    var nanoseconds: Int64
    var requestID: String?
    var runID: String?
    var client: String
    var userAgent: String?
  }

  private static let flushNanoseconds: Int64 = 200_000_000
  private static let handOverBytes = 64 << 10
  private static let silence: Int64 = 10_000_000_000
  private let file: LineFile
  private let logger: Logger
  private let path: String
  private let deadlines: DeadlineQueues
  private var pending = ByteWriter(capacity: handOverBytes)
  private var lines = 0
  private var toldAt: Int64?
  private var isClosed = false

  /// The log at that path; nil where none is asked for.
  static func opened(
    _ path: String?, _ deadlines: DeadlineQueues, _ logger: Logger
  ) throws(ServerError) -> AccessLog? {
    guard let path else { return nil }
    return try AccessLog(path, deadlines, logger)
  }

  /// - Throws: `ServerError` when the file cannot be opened.
  init(_ path: String, _ deadlines: DeadlineQueues, _ logger: Logger) throws(ServerError) {
    self.path = path
    self.deadlines = deadlines
    self.logger = logger
    file = try LineFile(path, logger)
  }

  /// Lines that could not be written.
  var lostLines: Int { file.lostLines }

  func add(_ entry: Entry, now: Int64) {
    pending.append(entry)
    lines += 1
    if lines == 1 { _ = deadlines.set(after: Self.flushNanoseconds, now: now, self) }
    if pending.count >= Self.handOverBytes { handOver(now) }
  }

  func deadlinePassed(_ tag: UInt8) { handOver(Clock.monotonicNanoseconds()) }

  private func handOver(_ now: Int64) {
    guard lines > 0 else { return }
    let fits = file.add(pending.bytes, lines: lines)
    pending.removeAll()
    lines = 0
    guard !fits, now - (toldAt ?? .min / 2) >= Self.silence else { return }
    toldAt = now
    logger.error(
      "the access log \"\(path)\" is written too slowly: \(Limits.accessLogBytesMax) bytes wait; \(lostLines) lines are lost so far"
    )
  }

  /// Goes on in a new file of that name, after the old one was moved away.
  func reopen() {
    handOver(Clock.monotonicNanoseconds())
    file.reopen()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    handOver(Clock.monotonicNanoseconds())
    file.close()
  }

  deinit { close() }
}

extension ByteWriter {
  fileprivate mutating func append(_ entry: AccessLog.Entry) {
    append("{\"time\":\"")
    append(timestamp: Clock.wallNanoseconds())
    append("\",\"method\":\"")
    append(entry.method)
    append("\",\"route\":\"")
    append(entry.route)
    append("\",\"path\":")
    append(jsonForLog: Self.cut(entry.path))
    append(",\"status\":")
    append(decimal: entry.status)
    append(",\"bytes\":")
    append(decimal: entry.bytes)
    append(",\"seconds\":")
    append(seconds: entry.nanoseconds)
    append(",\"request_id\":")
    append(orNull: entry.requestID)
    append(",\"run_id\":")
    append(orNull: entry.runID)
    append(",\"client\":")
    append(jsonForLog: Self.cut(entry.client))
    append(",\"user_agent\":")
    append(orNull: entry.userAgent)
    append("}\n")
  }

  private mutating func append(orNull text: String?) {
    if let text { append(jsonForLog: Self.cut(text)) } else { append("null") }
  }

  /// Seconds with six decimals.
  private mutating func append(seconds nanoseconds: Int64) {
    let microseconds = Int(max(0, nanoseconds) / 1000)
    append(decimal: microseconds / 1_000_000)
    append(".")
    let fraction = microseconds % 1_000_000
    var place = 100_000
    while place > 0 {
      append(UInt8(ascii: "0") + UInt8(fraction / place % 10))
      place /= 10
    }
  }

  private static func cut(_ text: String) -> String {
    guard text.utf8.count > Limits.accessFieldBytesMax else { return text }
    return String(decoding: text.utf8.prefix(Limits.accessFieldBytesMax), as: UTF8.self)
  }
}
