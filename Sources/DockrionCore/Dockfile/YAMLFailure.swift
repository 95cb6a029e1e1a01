import Yams

/// What the YAML parser refused, without the text of the file that Yams carries along.
enum YAMLFailure: Error {
  case duplicateKey(String, ConfigPlace)
  case secondDocument(ConfigPlace)
  case syntax(problem: String, context: String?, contextLine: Int?, place: ConfigPlace?)

  /// Composes the one document of the text, every scalar as plain text; nil when there is none.
  static func compose(_ text: String) throws(YAMLFailure) -> Node? {
    do {
      // `basic` knows no types, so that no regular expression runs for each key that is hashed; UTF-8 is
      // named since Yams' default can be changed from the environment.
      return try Yams.compose(yaml: text, .basic, .default, .utf8)
    } catch let error as YamlError {
      throw YAMLFailure(error)
    } catch {
      throw .syntax(problem: "\(error)", context: nil, contextLine: nil, place: nil)
    }
  }

  private init(_ error: YamlError) {
    switch error {
    case .duplicatedKeysInMapping(let duplicates, let context):
      self = .duplicateKey(duplicates.first ?? "", ConfigPlace(context.mark))
    case .composer(let context?, let problem, let mark, _) where problem == "but found another document":
      _ = context
      self = .secondDocument(ConfigPlace(mark))
    case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
      .composer(let context, let problem, let mark, _):
      self = .syntax(
        problem: problem, context: context?.text, contextLine: context?.mark.line, place: ConfigPlace(mark))
    case .reader(let problem, _, _, _):
      self = .syntax(problem: problem, context: nil, contextLine: nil, place: nil)
    default:
      self = .syntax(problem: "\(error)", context: nil, contextLine: nil, place: nil)
    }
  }

  /// The place and a sentence for a person.
  func explained(in text: String) -> (ConfigPlace?, String) {
    switch self {
    case .duplicateKey(let key, let place):
      return (place, "the key \(quoted(key)) stands more than once in this mapping")
    case .secondDocument(let place):
      return (place, "a second YAML document begins here; a Dockfile is one document")
    case .syntax(let problem, let context, let contextLine, let place):
      if let place, let column = Self.tabColumn(in: text, at: place) {
        return (
          ConfigPlace(line: place.line, column: column), "a tab stands here; YAML is indented with spaces"
        )
      }
      if problem.hasPrefix("Maximum nesting level") {
        return (place, "lists and mappings are nested deeper than \(ConfigComposer.depthMax)")
      }
      var message = "this is not YAML: \(problem)"
      if let context {
        message += " \(context)"
        if let contextLine, contextLine != place?.line { message += " that begins in line \(contextLine)" }
      }
      if problem.hasPrefix("mapping values are not allowed") {
        message += "; text with \": \" in it needs quotes"
      }
      if context?.contains("flow") ?? false, let place, Self.line(place.line, of: text).contains("${") {
        message += "; inside {…} and […], text with ${…} needs quotes"
      }
      return (place, message)
    }
  }

  private static func line(_ number: Int, of text: String) -> Substring {
    let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    return lines.indices.contains(number - 1) ? Substring(lines[number - 1]) : ""
  }

  /// The column of a tab that is to blame: the character at the place, or one in its line's indentation.
  private static func tabColumn(in text: String, at place: ConfigPlace) -> Int? {
    let line = Self.line(place.line, of: text).unicodeScalars
    let indentation = line.prefix { $0 == " " || $0 == "\t" }
    if let tab = indentation.firstIndex(of: "\t") {
      return line.distance(from: line.startIndex, to: tab) + 1
    }
    return line.dropFirst(place.column - 1).first == "\t" ? place.column : nil
  }
}

extension ConfigPlace {
  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}

/// Finds the uses of anchors in a text before it is parsed.
///
/// It looks at words, not at YAML: `*name` counts where `&name` stands somewhere, in comments too.
enum AliasScan {
  static func aliases(in text: String) -> [ConfigPlace] {
    guard text.utf8.contains(UInt8(ascii: "&")), text.utf8.contains(UInt8(ascii: "*")) else { return [] }
    var anchors: Set<Substring> = []
    var uses: [(name: Substring, place: ConfigPlace)] = []
    var line = 1
    for content in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      var index = content.startIndex
      while index < content.endIndex {
        let sign = content[index]
        content.formIndex(after: &index)
        guard sign == UInt8(ascii: "&") || sign == UInt8(ascii: "*") else { continue }
        let name = content[index...].prefix { !" \t\r,[]{}".utf8.contains($0) }
        if name.isEmpty {
          continue
        } else if sign == UInt8(ascii: "&") {
          anchors.insert(Substring(name))
        } else {
          let column = content.distance(from: content.startIndex, to: index)
          uses.append((Substring(name), ConfigPlace(line: line, column: column)))
        }
      }
      line += 1
    }
    // `*name:` is an alias with the colon in its name to some readers and a key to others.
    return uses.filter { anchors.contains($0.name) || anchors.contains($0.name.prefix { $0 != ":" }) }.map(
      \.place)
  }
}
