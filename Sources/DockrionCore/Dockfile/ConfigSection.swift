/// One mapping of the file while it is read: it hands out typed values and reports what does not fit.
///
/// A key that is absent, null or broken gives the default; the error of a broken one stands already.
struct ConfigSection {
  /// The dotted path of the mapping; empty at the top.
  let field: String
  let place: ConfigPlace?
  let issues: IssueCollector
  private var values: [String: ConfigNode] = [:]

  /// - Parameters:
  ///   - node: nil, null or broken for a section without keys; anything else but a mapping is an error.
  ///   - known: the keys that are read; another one is warned about.
  ///   - unused: keys of the Python runtime that have no effect here, which is what the warning says.
  ///   - ofFile: keys that only the whole file has, where this is a part of an agent's own.
  init(
    _ node: ConfigNode?, field: String, known: [String], unused: [String] = [], ofFile: [String] = [],
    issues: IssueCollector
  ) {
    self.field = field
    self.issues = issues
    place = node?.place
    issues.sectionIsRead(field, keys: known + unused)
    guard let node else { return }
    guard case .mapping(let entries) = node.content else {
      if !node.isNull, !node.isBroken {
        issues.error(field, at: node.place, "\(node.shown) stands where a mapping is needed")
      }
      return
    }
    for entry in entries {
      if known.contains(entry.key) {
        values[entry.key] = entry.value
      } else if unused.contains(entry.key) {
        issues.warn(joined(field, entry.key), at: entry.place, "this key has no effect here")
      } else if ofFile.contains(entry.key) {
        let ofAll = joined(field, entry.key).drop { $0 != "." }.dropFirst()
        issues.warn(
          joined(field, entry.key), at: entry.place,
          "an agent has none of its own, so this has no effect; \(ofAll) of the file holds for all")
      } else {
        var message = "this key is not known"
        if let nearest = nearestKey(to: entry.key, among: known) { message += "; did you mean \(nearest)?" }
        issues.warn(joined(field, entry.key), at: entry.place, message)
      }
    }
  }

  /// The value of a key; nil where it is absent.
  subscript(key: String) -> ConfigNode? { values[key] }

  /// The value of a key; nil where it is absent, null or broken.
  func given(_ key: String) -> ConfigNode? {
    guard let node = values[key], !node.isNull, !node.isBroken else { return nil }
    return node
  }

  func section(
    _ key: String, known: [String], unused: [String] = [], ofFile: [String] = []
  ) -> ConfigSection {
    ConfigSection(values[key], field: path(key), known: known, unused: unused, ofFile: ofFile, issues: issues)
  }

  func path(_ key: String) -> String { joined(field, key) }

  /// Reports an error at the key's value, or at the section where the key is absent.
  func error(_ key: String, _ message: String) {
    issues.error(path(key), at: values[key]?.place ?? place, message)
  }

  func warn(_ key: String, _ message: String) {
    issues.warn(path(key), at: values[key]?.place ?? place, message)
  }
}

extension ConfigSection {
  func bool(_ key: String, default fallback: Bool) -> Bool {
    guard let node = given(key) else { return fallback }
    if let flag = node.flag { return flag }
    error(key, "\(node.shown) is neither true nor false")
    return fallback
  }

  /// Any scalar as text, numbers and booleans as they are written.
  func text(_ key: String) -> String? {
    guard let node = given(key) else { return nil }
    if let text = node.text { return text }
    error(key, "\(node.shown) stands where text is needed")
    return nil
  }

  /// Text that is not empty and holds no control characters.
  func word(_ key: String) -> String? {
    guard let text = text(key) else { return nil }
    guard !text.isEmpty, !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
    else {
      error(key, "\(quoted(text)) is not a name; one line of text is needed")
      return nil
    }
    return text
  }

  func int(_ key: String, _ range: ClosedRange<Int>, _ unit: String = "", default fallback: Int) -> Int {
    optionalInt(key, range, unit) ?? fallback
  }

  func seconds(_ key: String, _ range: ClosedRange<Int>, default fallback: Int) -> Int {
    int(key, range, " seconds", default: fallback)
  }

  func optionalInt(_ key: String, _ range: ClosedRange<Int>, _ unit: String = "") -> Int? {
    guard let node = given(key) else { return nil }
    let number =
      node.text.map { isDecimalInteger($0) ? Reading.number(decimalInteger($0)) : .other } ?? .other
    return check(key, node, number, range, unit)
  }

  /// A count of bytes, with or without a unit: `1048576`, `64MB`, `256MiB`, `1GiB`.
  func bytes(_ key: String, _ range: ClosedRange<Int>, default fallback: Int) -> Int {
    guard let node = given(key) else { return fallback }
    return check(key, node, node.text.map(readBytes) ?? .other, range, " bytes") ?? fallback
  }

  private func check(
    _ key: String, _ node: ConfigNode, _ reading: Reading, _ range: ClosedRange<Int>, _ unit: String
  ) -> Int? {
    let needed = "(\(range.lowerBound)…\(range.upperBound)\(unit))"
    guard case .number(let number) = reading else {
      error(key, "\(node.shown) is not an integer \(needed)")
      return nil
    }
    guard let number, range.contains(number) else {
      error(key, "\(node.shown) is out of range \(needed)")
      return nil
    }
    return number
  }
}

/// What a text is where a number is needed; the number is nil when it is beyond 64 bits.
private enum Reading {
  case number(Int?)
  case other
}

extension ConfigNode {
  /// The value of a boolean, also in the words that YAML 1.1 has for it and in quotes.
  var flag: Bool? {
    switch text {
    case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON": true
    case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF": false
    default: nil
    }
  }
}

/// True for `[-+]?(0|[1-9][0-9_]*)`, however long. A leading zero is octal to some readers, so it is refused.
private func isDecimalInteger(_ text: some StringProtocol) -> Bool {
  var digits = text.utf8[...]
  if digits.first == UInt8(ascii: "-") || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
  guard let first = digits.first, ASCII.isDigit(first) else { return false }
  if first == 0x30 { return digits.count == 1 }
  return digits.allSatisfy { ASCII.isDigit($0) || $0 == UInt8(ascii: "_") }
}

/// The value of such a text, or nil when it is beyond 64 bits.
private func decimalInteger(_ text: some StringProtocol) -> Int? {
  Int(String(text.filter { $0 != "_" }))
}

private let byteUnits: [String: Int] = [
  "": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "TB": 1_000_000_000_000,
  "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
]

private func readBytes(_ text: String) -> Reading {
  let unit = String(text.reversed().prefix { $0.isASCII && $0.isLetter }.reversed())
  var digits = text.dropLast(unit.count)
  if !unit.isEmpty, digits.hasSuffix(" ") { digits = digits.dropLast() }
  guard isDecimalInteger(digits), let factor = byteUnits[unit] else { return .other }
  guard let number = decimalInteger(digits) else { return .number(nil) }
  let (product, overflow) = number.multipliedReportingOverflow(by: factor)
  return .number(overflow ? nil : product)
}
