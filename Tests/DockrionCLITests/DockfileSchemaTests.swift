import Foundation
import Testing

@testable import DockrionCLI
@testable import DockrionCore
@testable import DockrionProgram

/// Holds the JSON Schema against the reader: the same keys, the same ranges, the same verdicts.
struct DockfileSchemaTests {
  private let schema = MiniSchema(document: DockfileSchema.document)

  /// Dockfiles in which the reader looks into every section.
  private static let full = ["agent: {name: a}", "agents: [{name: a, runtime: {python: {}}}]"].map { agents in
    """
    \(agents)
    io_schema: {input: {}}
    expose: {cors: {origins: "*"}}
    streaming: {id_generator: {}, events: {}, connection: {}, memory: {}, redis: {}}
    runtime: {python: {}}
    auth: {mode: api_key, api_keys: {}}
    metadata: {}
    arguments: {}
    secrets: {required: [{name: A}], optional: [{name: A}]}

    """
  }

  /// The keys of every section that the reader looks into, by the section's path.
  private func keysOfReader() throws -> [String: Set<String>] {
    var keys: [String: Set<String>] = [:]
    for text in Self.full {
      let issues = IssueCollector(path: "D")
      var composer = ConfigComposer(issues: issues, environment: [:], ignoredKeys: [])
      let composed = composer.compose(text)
      let root = try #require(composed)
      _ = DockfileReader(root, issues: issues).read(into: Dockfile(path: "D", agent: .init(name: "")))
      #expect(issues.errors.isEmpty && issues.warnings.isEmpty)
      keys.merge(issues.keysRead.mapValues(Set.init)) { first, second in
        #expect(first == second)
        return first
      }
    }
    return keys
  }

  /// The same of the schema.
  private func keysOfSchema() -> [String: Set<String>] {
    var keys: [String: Set<String>] = [:]
    func walk(_ schema: JSONObject, _ path: String) {
      if let items = schema["items"]?.object { return walk(items, path + "[0]") }
      // The one mapping among the forms of expose.cors.
      let inner = schema["anyOf"]?.array?.compactMap(\.object).first { $0["properties"] != nil }
      guard let properties = (inner ?? schema)["properties"]?.object else { return }
      keys[path] = Set(properties.names)
      for (name, value) in properties { walk(value.object ?? [:], path.isEmpty ? name : "\(path).\(name)") }
    }
    walk(DockfileSchema.document, "")
    return keys
  }

  @Test func hasTheReadersKeys() throws {
    let reader = try keysOfReader()
    let schema = keysOfSchema()
    #expect(Set(reader.keys) == Set(schema.keys))
    for (section, keys) in reader {
      #expect(schema[section] == keys, "\(section): \(keys.symmetricDifference(schema[section] ?? []))")
    }
  }

  /// Every number of the schema: at its bounds the reader takes it, beyond them it does not, nor does the schema.
  @Test func hasTheReadersRanges() throws {
    var probed = 0
    for (path, range) in schema.ranges() {
      for (number, isGood) in [
        (range.lowerBound, true), (range.upperBound, true), (range.lowerBound - 1, false),
        (range.upperBound + 1, false),
      ] {
        let text = Self.dockfile(path, "\(number)")
        let isRead = (try? Dockfile.parse(text, environment: [:])) != nil
        #expect(isRead == isGood, "\(path): \(number)")
        #expect(schema.accepts(try Self.json(text)) == isGood, "\(path): \(number)")
        probed += 1
      }
    }
    #expect(probed >= 4 * 20, "\(probed)")
  }

  /// The defaults that the schema tells are those that hold where a key is absent.
  @Test func tellsTheReadersDefaults() throws {
    let defaults = try Dockfile.parse("agent: {name: a}", environment: [:])
    for (path, value) in schema.defaults() {
      // Where auth stands, more must stand there.
      if path.hasPrefix("auth.") { continue }
      let text = try JSONText.line(value)
      let read = try Dockfile.parse(Self.dockfile(path, text), environment: [:])
      #expect("\(read.streaming)" == "\(defaults.streaming)", "\(path)")
      #expect("\(read.runtime)" == "\(defaults.runtime)", "\(path)")
      #expect("\(read.expose)" == "\(defaults.expose)", "\(path)")
    }
    #expect(schema.defaults().count >= 20)
  }

  /// The schema is as strict as the reader with its warnings, except for keys that have no effect.
  @Test(arguments: [
    ("agent: {name: a}", true), ("agent: {}", false), ("agent: {name: \"a b\"}", false), ("{}", false),
    ("agent: {name: a, nam: b}", false), ("agent: {name: 7}", true),
    ("agent: {name: \"${NAME:-x}\"}", true), ("agent: {name: a}\nversion: \"1.0\"", true),
    ("agent: {name: a}\nversion: \"2.0\"", false), ("agent: {name: a}\nexpose:", true),
    ("agent: {name: a}\nexpose: {port: \"8080\", rest: \"yes\", streaming: none}", true),
    ("agent: {name: a}\nexpose: {port: 80.5}", false), ("agent: {name: a}\nexpose: {rest: 1}", false),
    ("agent: {name: a}\nexpose: {streaming: websocket}", false),
    ("agent: {name: a}\nexpose: {cors: [\"https://a.b\"]}", true),
    ("agent: {name: a}\nexpose: {cors: {origins: \"*\"}}", true),
    ("agent: {name: a}\nexpose: {cors: {}}", false), ("agent: {name: a}\nexpose: []", false),
    ("agent: {name: a}\nstreaming: {events: {allowed: chat}}", true),
    ("agent: {name: a}\nstreaming: {events: {allowed: chatty}}", false),
    ("agent: {name: a}\nstreaming: {events: {allowed: [token, custom, \"custom:x\", complete]}}", true),
    ("agent: {name: a}\nstreaming: {events: {allowed: [chat]}}", false),
    ("agent: {name: a}\nstreaming: {events: {allowed: [\"custom:9\"]}}", false),
    ("agent: {name: a}\nstreaming: {memory: {max_bytes: 64MiB}}", true),
    ("agent: {name: a}\nstreaming: {memory: {max_bytes: 64 sheep}}", false),
    ("agent: {name: a}\nstreaming: {redis: {url: \"redis://h:1\"}}", true),
    ("agent: {name: a}\nstreaming: {redis: {url: \"http://h:1\"}}", false),
    ("agent: {name: a}\nstreaming: {id_generator: {type: uuid}}", true),
    ("agent: {name: a}\nstreaming: {id_generator: {type: ulid}}", false),
    ("agent: {name: a}\nauth: {mode: api_key, api_keys: {env_var: K, allow_bearer: false}}", true),
    ("agent: {name: a}\nauth: {mode: oauth}", false), ("agent: {name: a}\nauth: {}", false),
    ("agent: {name: a}\nauth:", false),
    ("agent: {name: a}\nauth: {mode: none, api_keys: {prefix: A}}", false),
    ("agent: {name: a}\nmetadata: [1]", false), ("agent: {name: a}\nio_schema: {input: 1}", false),
    ("agents: [{name: a}]", true), ("agents: [{name: a}, {name: b, default: true}]", true),
    ("agents: [{name: a}]\nagent: {name: b}", false), ("agents: []", false), ("agents: {name: a}", false),
    ("agents:", false), ("agents: [{}]", false), ("agents: [a]", false), ("agents: [~]", false),
    ("agents: [{name: a, default: maybe}]", false), ("agents: [{name: a, defalt: true}]", false),
    ("agents: [{name: a, expose: {port: 1}}]", false),
    ("agents: [{name: a, streaming: {backend: redis}}]", false),
    ("agents: [{name: a, streaming: {events: {heartbeat_interval: 5}}}]", false),
    ("agents: [{name: a, runtime: {max_connections: 5}}]", false),
    (
      "agents: [{name: a, handler: h, default: yes, io_schema: {input: {}}, metadata: {k: v}, "
        + "streaming: {events: {allowed: [token, \"custom:x\"]}}, runtime: {max_concurrent_runs: 5}}]", true
    ),
    ("agents: [{name: a, streaming: {events: {allowed: chatty}}}]", false),
    ("agents: [{name: a, runtime: {max_concurrent_runs: 0}}]", false),
    ("agents: [{name: a, io_schema: {input: 1}}]", false), ("agents: [{name: a, metadata: [1]}]", false),
  ])
  func agreesWithTheReader(text: String, isGood: Bool) throws {
    #expect(schema.accepts(try Self.json(text)) == isGood, "\(text)")
    let read = try? Dockfile.parse(text, environment: [:])
    #expect((read?.warnings.isEmpty ?? false) == isGood, "\(text)")
  }

  @Test func isPrintedWhole() throws {
    let result = try dockrion("schema", in: try TemporaryDirectory())
    #expect(result.code == 0)
    #expect(try JSONObject(parsing: result.out) == DockfileSchema.document)
  }

  /// A Dockfile with one more value, at a dotted path.
  private static func dockfile(_ path: String, _ value: String) -> String {
    let parts = path.split(separator: ".")
    if parts[0] == "agents[0]" {
      let open = parts.dropFirst().map { "\($0): " }.joined(separator: "{")
      return "agents: [{name: a, \(open)\(value)\(String(repeating: "}", count: parts.count - 2))}]\n"
    }
    let open = parts.dropFirst().map { "{\($0): " }.joined()
    let nested = open + value + String(repeating: "}", count: parts.count - 1)
    return "agent: {name: a}\n\(parts[0]): \(nested)\n"
  }

  /// A Dockfile as an editor's YAML reader sees it.
  private static func json(_ text: String) throws -> JSONValue {
    let issues = IssueCollector(path: "D")
    // Nothing is put in: the editor sees the variables.
    var composer = ConfigComposer(
      issues: issues, environment: [:],
      ignoredKeys: ["agent", "expose", "streaming", "runtime", "auth", "version", "io_schema", "metadata"])
    guard let root = composer.compose(text) else { throw TestFailure("\(issues.errors)") }
    return root.json(field: "", issues: issues)
  }
}

/// As much of JSON Schema as the Dockfile's uses.
struct MiniSchema {
  let document: JSONObject

  func accepts(_ value: JSONValue) -> Bool { accepts(value, document) }

  private func accepts(_ value: JSONValue, _ schema: JSONObject) -> Bool {
    schema.allSatisfy { keyword, argument in
      switch keyword {
      case "type":
        let types = (argument.array ?? [argument]).compactMap(\.string)
        return types.contains(value.typeName) || (types.contains("number") && value.typeName == "integer")
      case "enum": return argument.array?.contains(value) ?? false
      case "anyOf": return argument.array?.contains { accepts(value, $0.object ?? [:]) } ?? false
      case "$ref":
        let name = argument.string?.split(separator: "/").last.map(String.init) ?? ""
        return accepts(value, document["$defs"]?.object?[name]?.object ?? ["enum": []])
      case "oneOf": return argument.array?.count { accepts(value, $0.object ?? [:]) } == 1
      case "minItems": return value.array.map { Int64($0.count) >= argument.int ?? .max } ?? true
      case "minimum": return value.double.map { $0 >= argument.double ?? .infinity } ?? true
      case "maximum": return value.double.map { $0 <= argument.double ?? -.infinity } ?? true
      case "pattern":
        guard let text = value.string, let pattern = argument.string else { return true }
        return text.range(of: pattern, options: .regularExpression) != nil
      case "required":
        guard let object = value.object else { return true }
        return argument.array?.allSatisfy { $0.string.map { object[$0] != nil } ?? false } ?? false
      case "properties":
        return argument.object?.allSatisfy { name, inner in
          value.object?[name].map { accepts($0, inner.object ?? [:]) } ?? true
        } ?? false
      case "additionalProperties":
        let known = Set(schema["properties"]?.object.map { Array($0.names) } ?? [])
        return value.object?.allSatisfy { known.contains($0.key) } ?? true
      case "items":
        return value.array?.allSatisfy { accepts($0, argument.object ?? [:]) } ?? true
      case "$schema", "$defs", "title", "description", "default", "deprecated": return true
      default:
        Issue.record("the test does not know the keyword \(keyword)")
        return false
      }
    }
  }

  /// The range of every integer, by its path.
  func ranges() -> [(String, ClosedRange<Int>)] {
    properties().compactMap { path, schema in
      let form = schema["anyOf"]?.array?.compactMap(\.object).first { $0["maximum"] != nil }
      guard let low = form?["minimum"]?.int, let high = form?["maximum"]?.int else { return nil }
      return (path, low...high)
    }
  }

  func defaults() -> [(String, JSONValue)] {
    properties().compactMap { path, schema in schema["default"].map { (path, $0) } }
  }

  private func properties() -> [(String, JSONObject)] {
    var found: [(String, JSONObject)] = []
    func walk(_ schema: JSONObject, _ path: String) {
      if !path.isEmpty { found.append((path, schema)) }
      if let items = schema["items"]?.object { return walk(items, path + "[0]") }
      for (name, value) in schema["properties"]?.object ?? [:] {
        walk(value.object ?? [:], path.isEmpty ? name : "\(path).\(name)")
      }
    }
    walk(document, "")
    return found
  }
}
