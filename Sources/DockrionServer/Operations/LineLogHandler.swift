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
    let all = metadata.merging(event.metadata ?? [:]) { _, own in own }
    line.append(logLine: event.message.description, event.level, label, all, format)
    line.append("\n")
    // A log that cannot be written has nowhere to say so.
    _ = write(STDERR_FILENO, line.bytes.baseAddress, line.bytes.count)
  }
}

extension LineLogHandler.Format {
  /// What a program says outside its log, at its start or its end: for people as it is, for programs each line as
  /// one of the log.
  public func lines(_ text: String, level: Logger.Level, label: String = "dockrion") -> String {
    guard self == .json else { return text }
    return text.split(separator: "\n").map { part in
      var line = ByteWriter(capacity: 256)
      line.append(logLine: String(part), level, label, [:], .json)
      return String(decoding: line.bytes, as: UTF8.self)
    }.joined(separator: "\n")
  }
}

extension ByteWriter {
  fileprivate mutating func append(
    logLine message: String, _ level: Logger.Level, _ label: String, _ metadata: Logger.Metadata,
    _ format: LineLogHandler.Format
  ) {
    let metadata = metadata.sorted { $0.key < $1.key }
    let message = LogText.cut(message)
    switch format {
    case .text:
      append(timestamp: Clock.wallNanoseconds())
      append(" \(level) \(label): \(LogText.onOneLine(message))")
      for (key, value) in metadata { append(" \(key)=\(LogText.value(LogText.cut("\(value)")))") }
    case .json:
      append("{\"timestamp\":\"")
      append(timestamp: Clock.wallNanoseconds())
      append("\",\"level\":\"\(level)\",\"logger\":")
      append(json: label)
      append(",\"message\":")
      append(jsonForLog: message)
      for (key, value) in metadata {
        append(",")
        append(json: key)
        append(":")
        append(jsonForLog: LogText.cut("\(value)"))
      }
      append("}")
    }
  }
}

extension ByteWriter {
  /// Writes a string of JSON in which everything is escaped that does not show: JSON allows most of it, and a terminal
  /// that shows the log obeys it.
  mutating func append(jsonForLog text: String) {
    // Nearly every text is printable ASCII.
    guard !text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }),
      text.unicodeScalars.contains(where: \.doesNotShow)
    else { return append(json: text) }
    append("\"")
    for scalar in text.unicodeScalars {
      if scalar.doesNotShow {
        let digits = String(scalar.value, radix: 16)
        append("\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)")
      } else if scalar == "\"" || scalar == "\\" {
        append("\\\(scalar)")
      } else {
        append("\(scalar)")
      }
    }
    append("\"")
  }
}

/// Texts of others in a log of lines: clients and agents choose some of what is logged.
enum LogText {
  /// At most `Limits.logTextBytesMax` bytes and a note on how many there were.
  static func cut(_ text: String) -> String {
    let count = text.utf8.count
    guard count > Limits.logTextBytesMax else { return text }
    var end = text.utf8.index(text.utf8.startIndex, offsetBy: Limits.logTextBytesMax)
    end = text.unicodeScalars.index(before: text.unicodeScalars.index(after: end))
    return "\(text[..<end])… (\(count) bytes)"
  }

  /// What does not show is written out: none of it begins a line or reaches a terminal.
  static func onOneLine(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: \.doesNotShow) else { return text }
    var result = ""
    for scalar in text.unicodeScalars {
      if scalar.doesNotShow {
        result += scalar.escaped(asASCII: true)
      } else {
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// In quotes where it would not be one word.
  static func value(_ text: String) -> String {
    let isWord = !text.isEmpty && !text.utf8.contains { $0 <= 0x20 || $0 == UInt8(ascii: "\"") }
    guard !isWord else { return onOneLine(text) }
    let escaped = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    return "\"\(onOneLine(escaped))\""
  }
}
