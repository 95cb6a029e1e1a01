import Foundation

/// One figure of a result.
public struct Figure: Codable, Sendable, Equatable {
  public var name: String
  public var value: Double
  public var unit: String

  public init(_ name: String, _ value: Double, _ unit: String) {
    (self.name, self.value, self.unit) = (name, value, unit)
  }
}

/// What a scenario found, with what is needed to find it again.
public struct Report: Codable, Sendable {
  public struct Machine: Codable, Sendable {
    public var cores: Int
    public var processor: String
    public var kernel: String

    /// The machine that this runs on.
    public static func current() -> Machine {
      let facts = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
      let model = facts.split(separator: "\n").first { $0.hasPrefix("model name") }
      let kernel = (try? String(contentsOfFile: "/proc/sys/kernel/osrelease", encoding: .utf8)) ?? ""
      return Machine(
        cores: ProcessInfo.processInfo.processorCount,
        processor: model.map { String($0.drop { $0 != ":" }.dropFirst(2)) } ?? "unknown",
        kernel: kernel.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }

  public var scenario: String
  /// What was measured, in a sentence.
  public var description: String
  public var figures: [Figure] = []
  /// What came wrong; one line makes every figure void.
  public var violations: [String] = []
  public var violationCount = 0
  public var machine = Machine.current()
  public var versions: [String: String] = [:]
  public var command: String
  public var startedAt: String

  public init(scenario: String, description: String, command: String) {
    (self.scenario, self.description, self.command) = (scenario, description, command)
    startedAt = Date().formatted(.iso8601)
  }

  public var isVoid: Bool { violationCount > 0 }

  public mutating func add(_ name: String, _ value: Double, _ unit: String) {
    figures.append(Figure(name, value, unit))
  }

  /// Adds percentiles of times in milliseconds.
  public mutating func add(_ name: String, milliseconds values: [Double]) {
    guard let summary = Summary(values) else { return }
    for (label, value) in [
      ("median", summary.median), ("p90", summary.p90), ("p99", summary.p99), ("p99.9", summary.p999),
      ("max", summary.maximum),
    ] { add("\(name), \(label)", value, "ms") }
  }

  public mutating func violate(_ text: String) {
    violationCount += 1
    if violations.count < 10 { violations.append(text) }
  }

  /// For a person.
  public var table: String {
    let names = figures.map(\.name.count).max() ?? 0
    let values = figures.map { Report.text($0.value) }
    let width = values.map(\.count).max() ?? 0
    var lines = [description, ""]
    for (figure, value) in zip(figures, values) {
      lines.append(
        "  " + figure.name.padding(toLength: names, withPad: " ", startingAt: 0) + "  "
          + String(repeating: " ", count: width - value.count) + value + " " + figure.unit)
    }
    if isVoid {
      lines += ["", "VOID, for \(violationCount) reasons:"] + violations.map { "  " + $0 }
    }
    let details = versions.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    lines += [
      "",
      "  \(machine.cores) cores, \(machine.processor), Linux \(machine.kernel)\(details.isEmpty ? "" : "; " + details)",
      "  \(command)",
    ]
    return lines.joined(separator: "\n")
  }

  /// For a program.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self)
  }

  static func text(_ value: Double) -> String {
    if value == value.rounded(), abs(value) < 1e15 { return grouped(Int64(value)) }
    return abs(value) >= 1000 ? grouped(Int64(value.rounded())) : String(format: "%.3f", value)
  }

  private static func grouped(_ value: Int64) -> String {
    var digits = Array(String(value.magnitude))
    var at = digits.count - 3
    while at > 0 {
      digits.insert(",", at: at)
      at -= 3
    }
    return (value < 0 ? "-" : "") + String(digits)
  }
}

/// One line on a terminal that says how far a measurement is; nothing where standard error is no terminal.
public final class Progress {
  private let isOn: Bool
  private var last: Int64 = 0

  public init(quiet: Bool) { isOn = !quiet && isatty(2) == 1 }

  /// Shows the text, at most ten times a second.
  public func show(_ text: @autoclosure () -> String) {
    guard isOn else { return }
    let now = monotonicNanoseconds()
    guard now - last >= 100_000_000 else { return }
    last = now
    FileHandle.standardError.write(Data("\r\u{1B}[K\(text())".utf8))
  }

  public func clear() {
    if isOn { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) }
  }
}
