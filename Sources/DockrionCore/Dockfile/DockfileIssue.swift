/// One thing that is wrong, or odd, in a Dockfile.
///
///     Dockfile.yaml:12:25: streaming.events.heartbeat_interval: 0 is out of range (1…300 seconds)
public struct DockfileIssue: Sendable, Equatable, CustomStringConvertible {
  /// The file's path as it was given.
  public var path: String
  /// The line, counted from 1; nil where the issue has no place, such as a missing file.
  public var line: Int?
  /// The column in Unicode scalars, counted from 1.
  public var column: Int?
  /// The dotted path of the key, such as `streaming.events.heartbeat_interval`; empty for the whole file.
  public var field: String
  /// What is wrong and what would be right, in one line.
  public var message: String

  public init(path: String, line: Int? = nil, column: Int? = nil, field: String = "", message: String) {
    self.path = path
    self.line = line
    self.column = column
    self.field = field
    self.message = message
  }

  public var description: String {
    var text = path
    if let line {
      text += ":\(line)"
      if let column { text += ":\(column)" }
    }
    return text + ": " + (field.isEmpty ? "" : field + ": ") + message
  }
}

/// Everything that keeps a Dockfile from being used, in the order of the file.
public struct DockfileError: Error, Sendable, Equatable, CustomStringConvertible {
  public var issues: [DockfileIssue]
  /// What is odd besides, such as keys that are not known: it may be why something else is missing.
  public var warnings: [DockfileIssue]

  public init(issues: [DockfileIssue], warnings: [DockfileIssue] = []) {
    self.issues = issues
    self.warnings = warnings
  }

  /// One line an issue, without the warnings.
  public var description: String { issues.map(\.description).joined(separator: "\n") }
}

/// Takes issues while a file is read, so that one reading finds them all.
final class IssueCollector {
  let path: String
  private(set) var errors: [DockfileIssue] = []
  private(set) var warnings: [DockfileIssue] = []
  /// The keys that are read in each section, used or not, so that tests can hold the JSON Schema against them.
  private(set) var keysRead: [String: [String]] = [:]

  init(path: String) { self.path = path }

  func error(_ field: String, at place: ConfigPlace?, _ message: String) {
    errors.append(issue(field, place, message))
  }

  func warn(_ field: String, at place: ConfigPlace?, _ message: String) {
    warnings.append(issue(field, place, message))
  }

  func sectionIsRead(_ field: String, keys: [String]) { keysRead[field] = keys }

  private func issue(_ field: String, _ place: ConfigPlace?, _ message: String) -> DockfileIssue {
    DockfileIssue(path: path, line: place?.line, column: place?.column, field: field, message: message)
  }

  /// The issues by place; those without one come first, and equal places keep their order.
  static func sorted(_ issues: [DockfileIssue]) -> [DockfileIssue] {
    issues.enumerated().sorted { left, right in
      (left.element.line ?? 0, left.element.column ?? 0, left.offset)
        < (right.element.line ?? 0, right.element.column ?? 0, right.offset)
    }.map(\.element)
  }
}
