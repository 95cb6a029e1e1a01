import DockrionCore
import DockrionProgram
import Yams

/// Adds or replaces one section at the top of a Dockfile and leaves every other byte as it is.
///
/// Goals: no byte outside the section changes, no value outside it changes its meaning, and what cannot be had is
/// refused with a reason. Non-goals: editing inside a section, files in flow style, adding to a merge (`<<`).
struct SectionEditor {
  /// The file's path, for messages.
  let path: String
  let bytes: [UInt8]
  let lines: TextLines
  let root: Node.Mapping

  /// - Throws: `DockfileError` for what is not YAML, `CommandError` for what cannot be edited.
  init(_ text: String, path: String) throws {
    self.path = path
    guard case .mapping(let root) = try Dockfile.tree(text, path: path) else {
      throw CommandError("\(path): this is not a mapping of keys such as agent:, so nothing can be added")
    }
    self.root = root
    bytes = Array(text.utf8)
    lines = TextLines(bytes)
    // The mapping's own style would tell, but Yams takes it from the event that ends the mapping, where it is void.
    guard let mark = root.keys.first?.mark, !lines.hasBrace(before: mark) else {
      throw CommandError(
        "\(path): the whole file stands in braces, {…}, and a section cannot be added without rewriting it; "
          + "put each key on a line of its own first")
    }
  }

  /// The line of the section's key, counted from 1; nil where there is no such section.
  func line(of key: String) -> Int? { index(of: key).flatMap { mark(at: $0)?.line } }

  /// The text with the section in it: in place of the one that is there, or at the end.
  ///
  /// - Parameter section: the section's lines, its key first, indented by two spaces a level.
  /// - Throws: `CommandError` with the reason why that cannot be done safely.
  func placing(_ key: String, _ section: String) throws -> String {
    try refuseMerged(key)
    let replaced = index(of: key)
    for separator in [lines.lineEnd, ""] {
      let new =
        try replaced.map { try replacing($0, key, section) } ?? appending(section, separator: separator)
      let text = String(decoding: new, as: UTF8.self)
      if try isSame(text, but: key, section) { return text }
      if replaced != nil { break }
    }
    throw refusal(
      "another value of the file would change with it, since it shares text or an anchor with the section or "
        + "ends in a block of text that keeps its line ends")
  }

  // MARK: The new text

  private func appending(_ section: String, separator: String) throws -> [UInt8] {
    let end = lines.documentEnd(after: (mark(at: root.count - 1)?.line ?? 1) - 1)
    var new = Array(bytes[..<end])
    if let last = new.last, last != UInt8(ascii: "\n"), last != UInt8(ascii: "\r") {
      new += lines.lineEnd.utf8
    }
    if !lines.endsInBlankLine(before: end) { new += separator.utf8 }
    new += try indented(section).utf8
    return new + bytes[end...]
  }

  private func replacing(_ position: Int, _ key: String, _ section: String) throws -> [UInt8] {
    let range = try range(of: position, key)
    try refuseSharedAnchors(in: range, key)
    var text = try indented(section)
    if range.upperBound == bytes.count, bytes.last != UInt8(ascii: "\n") {
      text = String(
        text.unicodeScalars.prefix(text.unicodeScalars.count - lines.lineEnd.unicodeScalars.count))
    }
    return bytes[..<range.lowerBound] + Array(text.utf8) + bytes[range.upperBound...]
  }

  /// The section's lines in the file: from its key to its last value, with the comments that stand below that,
  /// further in than the key and without a gap.
  func range(of position: Int, _ key: String) throws -> Range<Int> {
    guard let mark = mark(at: position), mark.line <= lines.count, startsLine(mark, with: key) else {
      throw refusal("its key is not written at the start of a line as \(key): is")
    }
    let first = mark.line - 1
    let end = try end(of: position, mark)
    var last = end - 1
    while last > first, lines.isBlankOrComment(last) { last -= 1 }
    while last + 1 < end, lines.isComment(last + 1, beyond: mark.column - 1) { last += 1 }
    return lines.start(of: first)..<lines.start(of: last + 1)
  }

  /// The line behind the section's last one: the next key's, or where the document ends.
  func end(of position: Int, _ mark: Mark) throws -> Int {
    guard position + 1 < root.count else {
      return lines.index(of: lines.documentEnd(after: mark.line - 1))
    }
    guard let next = self.mark(at: position + 1), next.line > mark.line else {
      throw refusal("the next key stands on the same line")
    }
    return next.line - 1
  }

  private func startsLine(_ mark: Mark, with key: String) -> Bool {
    let line = lines.content(of: mark.line - 1)
    let indentation = line.prefix { $0 == UInt8(ascii: " ") }
    guard indentation.count == mark.column - 1 else { return false }
    let rest = line.dropFirst(indentation.count)
    return [key, "\"\(key)\"", "'\(key)'"].contains { form in
      rest.starts(with: form.utf8)
        && rest.dropFirst(form.utf8.count).first { $0 != UInt8(ascii: " ") } == UInt8(ascii: ":")
    }
  }

  /// The section with the indentation and the line ends of the file.
  private func indented(_ section: String) throws -> String {
    guard let mark = mark(at: 0), mark.column >= 1 else {
      throw refusal("its first key has no place in the text")
    }
    let margin = String(repeating: " ", count: mark.column - 1)
    return section.split(separator: "\n").map { margin + $0 + lines.lineEnd }.joined()
  }

  // MARK: Reasons against

  func refuseMerged(_ key: String) throws {
    guard index(of: key) == nil else { return }
    for (name, value) in root where name.scalar?.string == "<<" && name.scalar?.style == .plain {
      let merged = value.sequence.map { Array($0) } ?? [value]
      if merged.contains(where: { $0.mapping?.keys.contains { $0.scalar?.string == key } ?? false }) {
        throw CommandError(
          "\(path):\(name.scalar?.mark?.line ?? 1): the section \(key) comes from a merge (<<) and would be "
            + "hidden by another one; change it where it stands")
      }
    }
  }

  private func refuseSharedAnchors(in range: Range<Int>, _ key: String) throws {
    let inside = Self.words(after: UInt8(ascii: "&"), in: bytes[range])
    let outside =
      Self.words(after: UInt8(ascii: "*"), in: bytes[..<range.lowerBound])
      .union(Self.words(after: UInt8(ascii: "*"), in: bytes[range.upperBound...]))
    guard let shared = inside.intersection(outside).sorted().first else { return }
    throw refusal("the rest of the file uses its anchor &\(shared)")
  }

  private static func words(after sign: UInt8, in bytes: ArraySlice<UInt8>) -> Set<String> {
    var words: Set<String> = []
    var rest = bytes
    while let at = rest.firstIndex(of: sign) {
      rest = rest[(at + 1)...]
      let word = rest.prefix { !" \t\r\n,[]{}:".utf8.contains($0) }
      if !word.isEmpty { words.insert(String(decoding: word, as: UTF8.self)) }
    }
    return words
  }

  /// Reads the new text and compares: the section is what was asked for, and everything else what it was.
  private func isSame(_ text: String, but key: String, _ section: String) throws -> Bool {
    guard case .mapping(let new)? = try? Dockfile.tree(text, path: path),
      case .mapping(let wanted) = try Dockfile.tree(section, path: path)
    else { return false }
    let others = root.filter { $0.key.scalar?.string != key }
    let now = new.filter { $0.key.scalar?.string != key }
    let added = new.filter { $0.key.scalar?.string == key }
    return others.elementsEqual(now) { $0.key == $1.key && $0.value == $1.value }
      && added.count == 1 && added.first?.value == wanted.first?.value
  }

  func refusal(_ reason: String) -> CommandError {
    CommandError("\(path): the section cannot be written safely: \(reason); nothing was written")
  }

  // MARK: Places

  func index(of key: String) -> Int? {
    root.keys.enumerated().first { $0.element.scalar?.string == key }?.offset
  }

  func mark(at position: Int) -> Mark? {
    root.enumerated().first { $0.offset == position }?.element.key.mark
  }
}
