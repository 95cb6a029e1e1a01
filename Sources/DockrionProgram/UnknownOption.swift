import DockrionCore

/// What is said about an option that does not exist.
enum UnknownOption {
  /// The message with `--help` or `--version` as what may have been meant, where nothing is nearer to what was written: the
  /// parser looks for a suggestion among a command's own options alone.
  static func withHelpInMind(_ message: String) -> String {
    let form = /Unknown option '(--[^']+)'(?:\. Did you mean '([^']+)'\?)?/
    guard let found = message.firstMatch(of: form) else { return message }
    let known = [found.2.map(String.init), "--help", "--version"].compactMap(\.self)
    guard let nearest = nearestKey(to: String(found.1), among: known) else { return message }
    return message.replacing(found.0, with: "Unknown option '\(found.1)'. Did you mean '\(nearest)'?")
  }
}
