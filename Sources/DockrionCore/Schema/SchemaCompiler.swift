/// Turns a schema's JSON into `SchemaNode`s, once, so that checking a payload reads no JSON.
struct SchemaCompiler {
  /// Levels of schemas in each other, and of a value in `enum` or `const`.
  static let depthMax = 64

  private(set) var issues: [InputSchemaError.Issue] = []
  private(set) var unenforced: [String] = []

  /// Keywords that describe and do not constrain.
  private static let annotations: Set<String> = [
    "description", "title", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly",
    "writeOnly",
  ]

  mutating func compileRoot(_ document: JSONObject) -> SchemaNode {
    if let type = document["type"], type != "object", type != ["object"] {
      fail("/type", "the type of a payload is object")
    }
    return compile(document, at: "", depth: 0)
  }

  private mutating func compile(_ schema: JSONObject, at pointer: String, depth: Int) -> SchemaNode {
    var types: SchemaNode.Types?
    var properties: [(name: String, node: SchemaNode)] = []
    var required: [String] = []
    var items: SchemaNode?
    var allowed: [JSONValue]?
    for (keyword, value) in schema {
      let place = "\(pointer)/\(escapedForPointer(keyword))"
      switch keyword {
      case "type": types = self.types(value, at: place)
      case "properties":
        guard case .object(let members) = value else {
          fail(place, "a mapping of names to schemas is needed")
          continue
        }
        for (name, member) in members {
          let inner = "\(place)/\(escapedForPointer(name))"
          if let node = subschema(member, at: inner, depth: depth) { properties.append((name, node)) }
        }
      case "required": required = names(value, at: place)
      case "items": items = subschema(value, at: place, depth: depth)
      case "enum":
        guard case .array(let values) = value, !values.isEmpty else {
          fail(place, "a list of at least one value is needed")
          continue
        }
        bound(value, at: place)
        allowed = values
      case "const": bound(value, at: place)
      case _ where Self.annotations.contains(keyword): break
      default: unenforced.append(place)
      }
    }
    return SchemaNode(
      types: types, properties: properties, required: required, items: items, allowed: allowed,
      constant: schema["const"])
  }

  private mutating func subschema(_ value: JSONValue, at pointer: String, depth: Int) -> SchemaNode? {
    switch value {
    case .object(let schema):
      guard depth < Self.depthMax else {
        fail(pointer, "schemas are nested deeper than \(Self.depthMax)")
        return nil
      }
      return compile(schema, at: pointer, depth: depth + 1)
    // `true` and an empty YAML value put no constraint; `{}` is the same.
    case .bool(true), .null: return nil
    default:
      fail(pointer, "a schema is needed, a mapping such as {type: string}")
      return nil
    }
  }

  private mutating func types(_ value: JSONValue, at pointer: String) -> SchemaNode.Types? {
    let elements = value.array ?? [value]
    var types: SchemaNode.Types = []
    for (index, element) in elements.enumerated() {
      let place = value.array == nil ? pointer : "\(pointer)/\(index)"
      let known = SchemaNode.Types.named
      if let word = element.string, let match = known.first(where: { $0.name == word }) {
        types.insert(match.type)
        continue
      }
      let names = known.map(\.name)
      let word = element.string.map { quoted($0) } ?? (element == .null ? "null" : "a value of another kind")
      var message = "\(word) is no type; use \(names.joined(separator: ", "))"
      if element == .null { message += " (\"null\" in quotes)" }
      if let nearest = element.string.flatMap({ nearestKey(to: $0, among: names) }) {
        message += "; did you mean \(nearest)?"
      }
      fail(place, message)
    }
    if elements.isEmpty { fail(pointer, "a list of at least one type is needed") }
    return types
  }

  private mutating func names(_ value: JSONValue, at pointer: String) -> [String] {
    guard case .array(let elements) = value else {
      fail(pointer, "a list of names is needed")
      return []
    }
    var names: [String] = []
    for (index, element) in elements.enumerated() {
      if let name = element.string {
        names.append(name)
      } else {
        fail("\(pointer)/\(index)", "a name is needed; put it in quotes")
      }
    }
    return names
  }

  private mutating func bound(_ value: JSONValue, at pointer: String) {
    guard !fits(value, levels: Self.depthMax) else { return }
    fail(pointer, "the value is nested deeper than \(Self.depthMax)")
  }

  private func fits(_ value: JSONValue, levels: Int) -> Bool {
    guard levels > 0 else { return false }
    switch value {
    case .array(let elements): return elements.allSatisfy { fits($0, levels: levels - 1) }
    case .object(let object): return object.allSatisfy { fits($0.value, levels: levels - 1) }
    default: return true
    }
  }

  private mutating func fail(_ pointer: String, _ message: String) {
    issues.append(InputSchemaError.Issue(pointer: pointer, message: message))
  }
}
