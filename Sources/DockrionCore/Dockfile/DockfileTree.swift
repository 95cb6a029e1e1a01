import Yams

extension Dockfile {
  /// The YAML tree of a Dockfile's text with the place of every node, for programs that edit the text.
  ///
  /// The places do not count a byte order mark. Variables are left as they are written.
  ///
  /// - Throws: `DockfileError` for what is no single YAML document, or has more aliases than a Dockfile may.
  package static func tree(_ text: String, path: String) throws(DockfileError) -> Node {
    let issues = IssueCollector(path: path)
    let composer = ConfigComposer(issues: issues, environment: [:], ignoredKeys: [])
    let hasMark = text.unicodeScalars.first == "\u{FEFF}"
    let text = hasMark ? String(text.unicodeScalars.dropFirst()) : text
    guard composer.checkCharacters(of: text), composer.checkAliases(of: text) else {
      throw DockfileError(issues: issues.errors)
    }
    do throws(YAMLFailure) {
      if let root = try YAMLFailure.compose(text) { return root }
      issues.error("", at: nil, "the file is empty; at least agent.name is needed")
    } catch {
      let (place, message) = error.explained(in: text)
      issues.error("", at: place, message)
    }
    throw DockfileError(issues: issues.errors)
  }
}
