/// The agents that every server carries, by name.
public enum BuiltinAgents {
  public static let all: [String: any Agent] = ["echo": EchoAgent(), "scripted": ScriptedAgent()]
}

/// Sends the payload's `text` back, a word a token.
public struct EchoAgent: Agent {
  private static let schema = try? InputSchema([
    "type": "object",
    "properties": ["text": ["type": "string", "description": "What to say back."]],
    "required": ["text"],
  ])

  public var inputSchema: InputSchema? { Self.schema }

  public init() {}

  public func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    guard let text = input["text"]?.string else {
      throw AgentError(code: "VALIDATION_ERROR", message: "/text: a string is required")
    }
    try await context.emitStep("process", inputKeys: ["text"], outputKeys: ["text"])
    for word in Self.words(of: text) { try await context.emitToken(word) }
    return ["text": .string(text)]
  }

  /// Cuts a text after each run of white space, so that the pieces joined are the text again.
  static func words(of text: String) -> [String] {
    text.utf8.allSatisfy { $0 < 0x80 } ? asciiWords(of: text) : characterWords(of: text)
  }

  /// The same without taking characters apart, which costs ten times as much.
  private static func asciiWords(of text: String) -> [String] {
    var words: [String] = []
    let bytes = text.utf8
    var start = bytes.startIndex
    var (afterSpace, hasWord) = (false, false)
    for index in bytes.indices {
      let isSpace = bytes[index] == 0x20 || (0x09...0x0D).contains(bytes[index])
      if afterSpace, !isSpace, hasWord {
        words.append(String(text[start..<index]))
        start = index
      }
      afterSpace = isSpace
      if !isSpace { hasWord = true }
    }
    if start < bytes.endIndex { words.append(String(text[start...])) }
    return words
  }

  private static func characterWords(of text: String) -> [String] {
    var words: [String] = []
    var start = text.startIndex
    var afterSpace = false
    for index in text.indices {
      let isSpace = text[index].isWhitespace
      if afterSpace, !isSpace, index > start, text[start..<index].contains(where: { !$0.isWhitespace }) {
        words.append(String(text[start..<index]))
        start = index
      }
      afterSpace = isSpace
    }
    if start < text.endIndex { words.append(String(text[start...])) }
    return words
  }
}
