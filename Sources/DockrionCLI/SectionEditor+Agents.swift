import DockrionCore
import DockrionProgram
import Yams

/// An entry of `agents`, as `init` and `add agent` write it.
struct AgentEntry {
  let name: String
  /// Nil serves the built-in `echo`.
  var handler: String?
  var framework: FrameworkWord?
  var description: String?

  /// The lines, each with its line end, below a key that is not indented.
  var text: String {
    var lines = SectionLines()
    lines.add("  - name: \(YAMLText.scalar(name))")
    if let description { lines.add("    description: \(YAMLText.scalar(description))") }
    if let framework { lines.add("    framework: \(framework.rawValue)") }
    if let handler {
      lines.add("    handler: \(YAMLText.scalar(handler))", "the name under which the agent is registered")
    } else {
      lines.add("    handler: echo", "built in; put the name of your own agent here")
    }
    return lines.text
  }

  /// The same in one line, for a list in brackets.
  fileprivate var flow: String {
    let members = [
      "name: \(YAMLText.scalar(name))", description.map { "description: \(YAMLText.scalar($0))" },
      framework.map { "framework: \($0.rawValue)" }, "handler: \(YAMLText.scalar(handler ?? "echo"))",
    ]
    return "{\(members.compactMap(\.self).joined(separator: ", "))}"
  }
}

/// One more agent. Where the file has `agent`, that one becomes the first of a list: its lines stay as they are but for
/// the indentation.
extension SectionEditor {
  private static let dash = UInt8(ascii: "-")
  private static let space = UInt8(ascii: " ")
  /// Brackets at the end of a list in one line that are tried.
  private static let bracketsMax = 64

  /// The text with the agent in it.
  ///
  /// - Throws: `CommandError` with the reason why that cannot be done safely.
  func adding(_ entry: AgentEntry) throws -> String {
    try refuseMerged("agent")
    try refuseMerged("agents")
    if let single = line(of: "agent"), let list = line(of: "agents") {
      throw CommandError("\(path):\(list): agent stands there too, at line \(single); keep one of them first")
    }
    guard let key = ["agents", "agent"].first(where: { index(of: $0) != nil }),
      let position = index(of: key), let mark = mark(at: position)
    else { return try placing("agents", "agents:\n" + entry.text) }
    let range = try range(of: position, key)
    // Behind its last value; or behind the blank lines that may belong to that.
    let ends = [range.upperBound, lines.start(of: try end(of: position, mark))]
    var candidates = ends.compactMap { end in
      (key == "agent" ? listed(range.lowerBound, end, mark) : block(range.lowerBound, end)).map {
        appending(entry, to: $0, end)
      }
    }
    if key == "agents" { candidates += flows(entry, in: range) }
    for candidate in candidates {
      let text = String(decoding: candidate, as: UTF8.self)
      if try isSame(text, key, with: entry) { return text }
    }
    throw refusal(
      "\(key) is written in a way that cannot be added to without changing more; put each agent on lines of its own, "
        + "such as \"- name: NAME\" below agents:")
  }

  // MARK: The new text

  /// The text up to the end of the section, and how far its list is indented.
  private typealias Start = (bytes: [UInt8], indentation: Int)

  private func appending(_ entry: AgentEntry, to start: Start, _ end: Int) -> [UInt8] {
    var new = start.bytes
    let margin = String(repeating: " ", count: start.indentation)
    var added = entry.text.split(separator: "\n").map { margin + $0.dropFirst(2) + lines.lineEnd }.joined()
    if let last = new.last, last != UInt8(ascii: "\n"), last != UInt8(ascii: "\r") {
      new += lines.lineEnd.utf8
      if end == bytes.count {
        added = String(added.unicodeScalars.dropLast(lines.lineEnd.unicodeScalars.count))
      }
    }
    return new + added.utf8 + bytes[end...]
  }

  /// `agents` with its entries on lines of their own; nil where it has none such.
  private func block(_ start: Int, _ end: Int) -> Start? {
    let first = lines.index(of: start)
    for line in (first + 1)..<max(first + 1, lines.index(of: end)) where !lines.isBlankOrComment(line) {
      let content = lines.content(of: line)
      let indentation = content.prefix { $0 == Self.space }.count
      if content.dropFirst(indentation).first == Self.dash { return (Array(bytes[..<end]), indentation) }
    }
    return nil
  }

  /// `agent` as a list of one; nil where it has no value that could become an entry.
  private func listed(_ start: Int, _ end: Int, _ mark: Mark) -> Start? {
    let first = lines.index(of: start)
    let keyLine = lines.content(of: first)
    guard let colon = keyLine.firstIndex(of: UInt8(ascii: ":")),
      let nameEnd = keyLine[..<colon].lastIndex(of: UInt8(ascii: "t"))
    else { return nil }
    var new = bytes[..<start] + keyLine[...nameEnd] + [UInt8(ascii: "s")] + keyLine[(nameEnd + 1)...colon]
    let rest = keyLine[(colon + 1)...]
    let value = rest.drop { $0 == Self.space || $0 == 0x09 }
    let margin = mark.column - 1
    let isBelow = value.first.map { "#\r\n".utf8.contains($0) } ?? true
    var indentation: Int?
    if isBelow {
      new += rest
    } else {
      indentation = margin + 2
      new += Array(lines.lineEnd.utf8) + Self.spaces(margin + 2) + [Self.dash, Self.space] + value
    }
    for line in (first + 1)..<max(first + 1, lines.index(of: end)) {
      let content = lines.content(of: line)
      let spaces = content.prefix { $0 == Self.space }.count
      if indentation == nil {
        if lines.isBlankOrComment(line) {
          new += content
          continue
        }
        indentation = spaces
        new += content.prefix(spaces) + [Self.dash, Self.space] + content.dropFirst(spaces)
      } else if lines.isBlank(line) && spaces == 0 || lines.isBlankOrComment(line) && spaces <= margin {
        new += content
      } else {
        new += Self.spaces(isBelow ? 2 : 4) + content
      }
    }
    return indentation.map { (Array(new), $0) }
  }

  private static func spaces(_ count: Int) -> [UInt8] { [UInt8](repeating: space, count: count) }

  /// `agents` as a list in brackets, with the entry behind its last one.
  private func flows(_ entry: AgentEntry, in range: Range<Int>) -> [[UInt8]] {
    let brackets = range.reversed().filter { bytes[$0] == UInt8(ascii: "]") }.prefix(Self.bracketsMax)
    return brackets.flatMap { bracket -> [[UInt8]] in
      let before = bytes[..<bracket].lastIndex { !" \t\r\n".utf8.contains($0) } ?? bracket
      let separators = bytes[before] == UInt8(ascii: ",") ? [" ", ", "] : [", ", " "]
      return separators.flatMap { separator in
        [before + 1, bracket].map { place in
          Array(bytes[..<place]) + Array((separator + entry.flow).utf8) + bytes[place...]
        }
      }
    }
  }

  // MARK: The check

  /// Reads the new text and compares: the agents are those that there were and the new one, and everything else is what
  /// it was.
  private func isSame(_ text: String, _ key: String, with entry: AgentEntry) throws -> Bool {
    guard case .mapping(let new)? = try? Dockfile.tree(text, path: path),
      case .mapping(let section) = try Dockfile.tree("agents:\n" + entry.text, path: path),
      let wanted = section.first?.value.sequence?.first,
      let old = root.first(where: { $0.key.scalar?.string == key })?.value
    else { return false }
    let keys: Set<String> = ["agent", "agents"]
    func others(_ mapping: Node.Mapping) -> [(key: Node, value: Node)] {
      mapping.filter { !keys.contains($0.key.scalar?.string ?? "") }
    }
    let found = new.filter { keys.contains($0.key.scalar?.string ?? "") }
    guard found.count == 1, found[0].key.scalar?.string == "agents", let agents = found[0].value.sequence,
      others(root).elementsEqual(others(new), by: { $0.key == $1.key && $0.value == $1.value })
    else { return false }
    let before = key == "agent" ? [old] : old.sequence.map(Array.init) ?? []
    return !before.isEmpty && Array(agents) == before + [wanted]
  }
}
