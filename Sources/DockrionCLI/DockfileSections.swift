import DockrionCore

/// The text of a Dockfile's `streaming` section, as `init` and `add streaming` write it.
struct StreamingSection {
  /// Nil leaves the key out, and the server's default holds: on.
  var asyncRuns: Bool?
  var backend = BackendWord.memory
  var events: EventWords?
  /// Seconds; nil leaves the key out.
  var heartbeat: Int?
  var maxDuration: Int?

  /// Where Redis is looked for unless the environment says otherwise.
  static let redisURL = "${REDIS_URL:-redis://127.0.0.1:6379}"

  /// The lines, each with its line end.
  var text: String {
    var lines = SectionLines()
    lines.add("streaming:")
    if let asyncRuns {
      lines.add("  async_runs: \(asyncRuns)", asyncRuns ? "POST /runs and what is below it" : "no /runs")
    }
    lines.add(
      "  backend: \(backend.rawValue)",
      backend == .memory ? "where runs are kept: in this process" : "where runs are kept: for all instances")
    if backend == .redis {
      lines.add("  redis:")
      lines.add("    url: \(Self.redisURL)")
    }
    guard events != nil || heartbeat != nil || maxDuration != nil else { return lines.text }
    lines.add("  events:")
    switch events?.choice {
    case .preset(let name): lines.add("    allowed: \(name)", Self.meaning(of: name))
    case .list(let words):
      lines.add("    allowed:", "and started, complete, error, cancelled")
      for word in words { lines.add("      - \(word)") }
    case nil: break
    }
    if let heartbeat { lines.add("    heartbeat_interval: \(heartbeat)", "seconds of silence before one") }
    if let maxDuration { lines.add("    max_run_duration: \(maxDuration)", "seconds an agent may run") }
    return lines.text
  }

  private static func meaning(of preset: String) -> String {
    switch preset {
    case "minimal": "started, complete, error, cancelled"
    case "chat": "token, step, heartbeat"
    default: "every event; minimal, chat or a list sends fewer"
    }
  }
}

/// The text of a Dockfile's `auth` section.
struct AuthSection {
  var mode = AuthWord.apiKey
  /// Nil leaves the key out.
  var envVar: String?
  var header: String?

  static let defaultVariable = "DOCKRION_API_KEY"

  var text: String {
    var lines = SectionLines()
    lines.add("auth:")
    lines.add("  mode: \(mode.rawValue)", mode == .none ? "anybody may call" : "/invoke and /runs need a key")
    guard mode == .apiKey else { return lines.text }
    lines.add("  api_keys:")
    lines.add("    env_var: \(envVar ?? Self.defaultVariable)", "the variable with the keys, commas between")
    if let header { lines.add("    header: \(YAMLText.scalar(header))", "besides Authorization: Bearer") }
    return lines.text
  }
}

/// Lines whose comments stand below each other.
struct SectionLines {
  private static let commentColumn = 31
  private(set) var text = ""

  mutating func add(entry: AgentEntry) { text += entry.text }

  mutating func add(_ line: String, _ comment: String? = nil) {
    text += line
    if let comment {
      text += String(repeating: " ", count: max(2, Self.commentColumn - line.count)) + "# " + comment
    }
    text += "\n"
  }
}

enum YAMLText {
  /// The text as a YAML scalar that every reader takes as text: bare where that is safe, else in quotes.
  static func scalar(_ text: String) -> String {
    let words: Set<String> = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
    let isBare =
      text.first.map { $0.isASCII && $0.isLetter } ?? false && !words.contains(text.lowercased())
      && text.utf8.allSatisfy {
        ASCII.isAlphanumeric($0) || "_-./".utf8.contains($0)
      }
    if isBare { return text }
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\t": result += "\\t"
      case "\n": result += "\\n"
      default:
        if scalar.properties.generalCategory == .control || scalar == "\u{FEFF}" {
          let code = String(scalar.value, radix: 16)
          result += "\\u" + String(repeating: "0", count: 4 - code.count) + code
        } else {
          result.unicodeScalars.append(scalar)
        }
      }
    }
    return result + "\""
  }
}
