import DockrionCore
import DockrionProgram

/// The value of `--streaming-events` and `--events`: a preset, or a list with commas.
///
///     EventWords(argument: "chat")                         // the preset
///     EventWords(argument: "token,step,custom:fraud")      // the list
struct EventWords: Equatable {
  enum Choice: Equatable {
    case preset(String)
    case list([String])
  }

  let choice: Choice

  static let names = ["token", "step", "progress", "checkpoint", "heartbeat", "custom"]
  /// Always sent; a list may name them all the same.
  static let mandatory = ["started", "complete", "error", "cancelled"]

  /// - Throws: `CommandError` that names the word and the nearest right one.
  init(parsing text: String) throws(CommandError) {
    let words = text.split(separator: ",", omittingEmptySubsequences: false).map { word in
      String(word.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
    }
    if words.count == 1, EventsFilter(preset: words[0]) != nil {
      choice = .preset(words[0])
      return
    }
    var list: [String] = []
    for word in words {
      if let problem = Self.problem(with: word, alone: words.count == 1) { throw CommandError(problem) }
      if !list.contains(word) { list.append(word) }
    }
    choice = .list(list)
  }

  private static func problem(with word: String, alone: Bool) -> String? {
    let known =
      "use \(EventsFilter.presetNames.joined(separator: ", ")), or a list of "
      + "\(names.joined(separator: ", ")) and custom:NAME, with commas between"
    if word.isEmpty { return "an event's name is missing; \(known)" }
    if EventsFilter(preset: word) != nil {
      return "\(quoted(word)) is a preset and stands alone, not in a list"
    }
    if word.hasPrefix("custom:") {
      let name = word.dropFirst("custom:".count)
      if EventKind.isCustomName(String(name)) { return nil }
      if names.contains(String(name)) || mandatory.contains(String(name)) {
        return "\(quoted(word)): \(quoted(name)) is a built-in event; write \(name) without custom:"
      }
      return "\(quoted(word)): \(quoted(name)) cannot be a custom event's name; it needs letters, digits "
        + "and _, no digit first"
    }
    if names.contains(word) || mandatory.contains(word) { return nil }
    let candidates = names + mandatory + (alone ? EventsFilter.presetNames : [])
    if let nearest = nearestKey(to: word, among: candidates) {
      return "\(quoted(word)) is no event; did you mean \(nearest)?"
    }
    if EventKind.isCustomName(word) {
      return "\(quoted(word)) is no event; for an event of your own write custom:\(word), else \(known)"
    }
    return "\(quoted(word)) is no event; \(known)"
  }
}
