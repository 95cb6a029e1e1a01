import DockrionCore
import Glibc
import Logging

/// Log lines on standard error, for people or for programs, one `write` each.
public struct LineLogHandler: LogHandler {
  /// How a line looks.
  public enum Format: String, Sendable, CaseIterable {
    /// `2026-01-31T09:05:00.120Z warning dockrion: message key=value`
    case text
    /// `{"timestamp":…,"level":…,"logger":…,"message":…,…}`
    case json
  }

  public var logLevel: Logger.Level
  public var metadata: Logger.Metadata = [:]
  private let label: String
  private let format: Format

  public init(label: String, level: Logger.Level, format: Format) {
    self.label = label
    self.format = format
    logLevel = level
  }

  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  public func log(event: LogEvent) {
    var line = ByteWriter(capacity: 256)
    let all = metadata.merging(event.metadata ?? [:]) { _, own in own }.sorted { $0.key < $1.key }
    switch format {
    case .text:
      line.append(timestamp: Clock.wallNanoseconds())
      line.append(" \(event.level) \(label): \(event.message)")
      for (key, value) in all { line.append(" \(key)=\(value)") }
    case .json:
      line.append("{\"timestamp\":\"")
      line.append(timestamp: Clock.wallNanoseconds())
      line.append("\",\"level\":\"\(event.level)\",\"logger\":")
      line.append(json: label)
      line.append(",\"message\":")
      line.append(json: event.message.description)
      for (key, value) in all {
        line.append(",")
        line.append(json: key)
        line.append(":")
        line.append(json: "\(value)")
      }
      line.append("}")
    }
    line.append("\n")
    // A log that cannot be written has nowhere to say so.
    _ = write(STDERR_FILENO, line.bytes.baseAddress, line.bytes.count)
  }
}
