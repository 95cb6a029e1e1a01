import ArgumentParser
import DockrionCore

/// The words that options take, and how they are checked: a wrong one is a usage error that names it.
enum StreamingWord: String, CaseIterable, ExpressibleByArgument { case sse, none }

enum BackendWord: String, CaseIterable, ExpressibleByArgument { case memory, redis }

enum FrameworkWord: String, CaseIterable, ExpressibleByArgument { case swift, custom, langgraph, langchain }

enum AuthWord: String, CaseIterable, ExpressibleByArgument {
  case none
  case apiKey = "api_key"
}

enum OptionCheck {
  /// The events that an option's text names; nil for nil.
  static func events(_ text: String?, option: String) throws -> EventWords? {
    guard let text else { return nil }
    do { return try EventWords(parsing: text) } catch { throw ValidationError("\(option): \(error)") }
  }

  static func check(_ value: Int?, in range: ClosedRange<Int>, option: String, unit: String = " seconds")
    throws
  {
    guard let value, !range.contains(value) else { return }
    throw ValidationError(
      "\(option): \(value) is out of range (\(range.lowerBound)…\(range.upperBound)\(unit))")
  }
}
