import Foundation
import Yams

/// Turns the text of a Dockfile into a tree of nodes with places and with variables put in.
///
/// Goals: one clear error for any text whatever, in bounded time and memory. Non-goals: the types of
/// YAML 1.1 (`yes`, `1:30`, dates), tags other than the core ones, mappings as keys.
struct ConfigComposer {
  /// Bytes of a file. A Dockfile of a few kilobytes is a long one.
  static let textBytesMax = 1 << 20
  /// Levels of lists and mappings in each other.
  static let depthMax = 64
  /// Values after aliases have been expanded, and the bytes of their text.
  static let nodesMax = 100_000
  static let expandedBytesMax = 4 << 20
  /// Uses of anchors. Yams hashes mapping keys, aliases expanded, before it hands out a tree to be counted.
  static let aliasesMax = 32

  let issues: IssueCollector
  let interpolation: Interpolation
  /// Keys at the top whose values are not used, so that their variables need not be set.
  let ignoredKeys: Set<String>
  private var nodes = 0
  private var bytes = 0
  private var overflowed = false
  private var repairs = DuplicateKeyRepairs()

  init(issues: IssueCollector, environment: [String: String], ignoredKeys: Set<String>) {
    self.issues = issues
    self.interpolation = Interpolation(environment: environment)
    self.ignoredKeys = ignoredKeys
  }

  /// The mapping at the top, or nil when errors made the file unreadable.
  mutating func compose(_ text: String) -> ConfigNode? {
    guard text.utf8.count <= Self.textBytesMax else {
      issues.error("", at: nil, "the file has \(text.utf8.count) bytes; a Dockfile has at most 1 MiB")
      return nil
    }
    let hasMark = text.unicodeScalars.first == "\u{FEFF}"
    let text = hasMark ? String(text.unicodeScalars.dropFirst()) : text
    guard checkCharacters(of: text), checkAliases(of: text), let root = parse(text) else { return nil }
    let node = convert(root, field: "", depth: 0, interpolates: true)
    switch node.content {
    case .mapping: return overflowed ? nil : node
    case .null: issues.error("", at: nil, "the file is empty; at least agent.name is needed")
    case .broken: break
    default:
      issues.error(
        "", at: node.place, "\(node.shown) stands where a mapping of keys such as agent: is needed")
    }
    return nil
  }

  private mutating func parse(_ text: String) -> Node? {
    var text = text
    while true {
      do throws(YAMLFailure) {
        guard let root = try YAMLFailure.compose(text) else {
          issues.error("", at: nil, "the file is empty; at least agent.name is needed")
          return nil
        }
        return root
      } catch {
        if case .duplicateKey(let key, let place) = error,
          let repaired = repairs.rename(key, at: place, in: text)
        {
          text = repaired
          continue
        }
        let (place, message) = error.explained(in: text)
        issues.error("", at: place, message)
        return nil
      }
    }
  }

  /// Control characters are found here since the YAML reader does not say where it met one.
  func checkCharacters(of text: String) -> Bool {
    var place = ConfigPlace(line: 1, column: 1)
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x0A: place = ConfigPlace(line: place.line + 1, column: 0)
      case 0x09, 0x0D, 0x20...0x7E, 0x85, 0xA0...0xFFFD, 0x10000...: break
      default:
        let code = String(scalar.value, radix: 16, uppercase: true)
        issues.error("", at: place, "the character U+\(code) is not allowed in YAML")
        return false
      }
      place.column += 1
    }
    return true
  }

  func checkAliases(of text: String) -> Bool {
    let aliases = AliasScan.aliases(in: text)
    guard aliases.count > Self.aliasesMax else { return true }
    issues.error(
      "", at: aliases[Self.aliasesMax],
      "the file uses anchors \(aliases.count) times; at most \(Self.aliasesMax) aliases are expanded")
    return false
  }

  private mutating func convert(_ node: Node, field: String, depth: Int, interpolates: Bool) -> ConfigNode {
    let place = repairs.place(of: node.mark)
    func broken(_ message: String) -> ConfigNode {
      issues.error(field, at: place, message)
      return ConfigNode(content: .broken, place: place)
    }
    nodes += 1
    bytes += node.scalar?.string.utf8.count ?? 0
    guard !overflowed else { return ConfigNode(content: .broken, place: place) }
    guard nodes <= Self.nodesMax, bytes <= Self.expandedBytesMax else {
      overflowed = true
      return broken(
        "the file grows beyond \(Self.nodesMax) values or 4 MiB of text once its aliases are expanded")
    }
    guard depth <= Self.depthMax else {
      return broken("lists and mappings are nested deeper than \(Self.depthMax)")
    }

    switch node {
    case .scalar(let scalar):
      return convert(scalar, place: place, interpolates: interpolates, broken: broken)
    case .sequence(let sequence):
      var elements: [ConfigNode] = []
      for (index, element) in sequence.enumerated() {
        elements.append(
          convert(element, field: "\(field)[\(index)]", depth: depth + 1, interpolates: interpolates))
      }
      return ConfigNode(content: .sequence(elements), place: place)
    case .mapping(let mapping):
      return ConfigNode(
        content: .mapping(entries(of: mapping, field: field, depth: depth, interpolates: interpolates)),
        place: place)
    case .alias: return broken("an alias stands where a value is needed")
    }
  }

  private func convert(
    _ scalar: Node.Scalar, place: ConfigPlace, interpolates: Bool, broken: (String) -> ConfigNode
  ) -> ConfigNode {
    let tag = scalar.tag.rawValue
    let core = ["", "!", "bool", "int", "float", "null", "str"]
    guard core.contains(tag.replacing("tag:yaml.org,2002:", with: "")) else {
      return broken("the tag \(quoted(tag)) is not known; leave it out")
    }
    let plain = scalar.style == .plain && (tag.isEmpty || !(tag == "!" || tag.hasSuffix(":str")))
    let text: String
    do throws(Interpolation.Failure) {
      text = interpolates ? try interpolation.expand(scalar.string) : scalar.string
    } catch {
      return broken(error.message)
    }
    if plain, case .null = PlainScalar(text) { return ConfigNode(content: .null, place: place) }
    return ConfigNode(content: .scalar(text, plain: plain), place: place)
  }

  private mutating func entries(
    of mapping: Node.Mapping, field: String, depth: Int, interpolates: Bool
  ) -> [ConfigNode.Entry] {
    var entries: [ConfigNode.Entry] = []
    var merged: [ConfigNode.Entry] = []
    for (keyNode, valueNode) in mapping {
      guard let scalar = keyNode.scalar else {
        let place = repairs.place(of: keyNode.mark)
        issues.error(field, at: place, "a list or mapping stands where a key is needed")
        continue
      }
      let (key, place, twin) = repairs.original(scalar, among: mapping)
      let inner = joined(field, key)
      if let twin {
        issues.error(
          inner, at: twin, "the key stands twice in this mapping, first in line \(place.line)")
      }
      let used = interpolates && !(depth == 0 && ignoredKeys.contains(key))
      let value = convert(valueNode, field: inner, depth: depth + 1, interpolates: used)
      // A key that was renamed stays out: its last twin is the one that later checks look at.
      if twin != nil { continue }
      if key == "<<", scalar.style == .plain {
        merge(value, field: inner, into: &merged)
      } else {
        entries.append(ConfigNode.Entry(key: key, place: place, value: value))
      }
    }
    guard !merged.isEmpty else { return entries }
    var seen = Set(entries.map(\.key))
    return entries + merged.filter { seen.insert($0.key).inserted }
  }

  private func merge(_ value: ConfigNode, field: String, into merged: inout [ConfigNode.Entry]) {
    switch value.content {
    case .mapping(let entries): merged += entries
    case .sequence(let elements): for element in elements { merge(element, field: field, into: &merged) }
    case .broken: break
    default: issues.error(field, at: value.place, "\(value.shown) stands where a mapping to merge is needed")
    }
  }
}

/// The dotted path of a key in the mapping at `field`; a key with unusual characters is quoted.
func joined(_ field: String, _ key: String) -> String {
  let isUsual =
    !key.isEmpty && key.utf8.count <= 60
    && key.utf8.allSatisfy {
      ASCII.isAlphanumeric($0) || "_-$:/".utf8.contains($0)
    }
  let part = isUsual ? key : quoted(key)
  return field.isEmpty ? part : "\(field).\(part)"
}
