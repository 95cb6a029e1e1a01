/// The difference of two texts that differ in one place, in the form that `patch` takes.
enum UnifiedDiff {
  private static let context = 3

  /// The lines of the difference, each without its line end; empty where the texts are the same.
  static func lines(from old: String, to new: String, path: String) -> [String] {
    let (before, after) = (split(old), split(new))
    guard before != after else { return [] }
    let same = zip(before, after).prefix { $0 == $1 }.count
    let sameTail = zip(before.dropFirst(same).reversed(), after.dropFirst(same).reversed())
      .prefix { $0 == $1 }.count
    let start = max(0, same - context)
    let tail = min(sameTail, context)
    let removed = before[same..<(before.count - sameTail)]
    let added = after[same..<(after.count - sameTail)]
    let head = before[start..<same]
    let foot = before[(before.count - sameTail)..<(before.count - sameTail + tail)]
    let oldCount = head.count + removed.count + foot.count
    let newCount = head.count + added.count + foot.count
    var lines = ["--- \(path)", "+++ \(path)", "@@ -\(span(start, oldCount)) +\(span(start, newCount)) @@"]
    for line in head { lines += shown(" ", line) }
    for (sign, line) in changes(Array(removed), Array(added)) { lines += shown(sign, line) }
    for line in foot { lines += shown(" ", line) }
    return lines
  }

  /// The lines of both texts in one order, each with its sign.
  private static func changes(_ old: [Substring], _ new: [Substring]) -> [(String, Substring)] {
    let difference = new.difference(from: old)
    var removed: Set<Int> = []
    var added: Set<Int> = []
    for change in difference {
      switch change {
      case .remove(let offset, _, _): removed.insert(offset)
      case .insert(let offset, _, _): added.insert(offset)
      }
    }
    var lines: [(String, Substring)] = []
    var (left, right) = (0, 0)
    while left < old.count || right < new.count {
      if removed.contains(left) {
        lines.append(("-", old[left]))
        left += 1
      } else if added.contains(right) {
        lines.append(("+", new[right]))
        right += 1
      } else {
        lines.append((" ", new[right]))
        left += 1
        right += 1
      }
    }
    return lines
  }

  private static func span(_ start: Int, _ count: Int) -> String {
    count == 0 ? "\(start),0" : "\(start + 1),\(count)"
  }

  private static func shown(_ sign: String, _ line: Substring) -> [String] {
    let scalars = line.unicodeScalars
    if scalars.last == "\n" { return [sign + String(scalars.dropLast())] }
    return [sign + line, "\\ No newline at end of file"]
  }

  /// The lines with their ends, cut at line feeds alone.
  private static func split(_ text: String) -> [Substring] {
    var lines: [Substring] = []
    var rest = text.unicodeScalars[...]
    while !rest.isEmpty {
      let end = rest.firstIndex(of: "\n").map { rest.index(after: $0) } ?? rest.endIndex
      lines.append(Substring(rest[..<end]))
      rest = rest[end...]
    }
    return lines
  }
}
