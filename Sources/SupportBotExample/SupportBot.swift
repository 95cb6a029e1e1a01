import DockrionProgram

/// Answers from a list of known questions, the way an agent with a language model behind it would stream.
struct SupportBot: Agent {
  private static let answers = [
    "password": "You can reset your password under Settings, Security.",
    "invoice": "Invoices are sent on the first of each month.",
  ]

  var inputSchema: InputSchema? {
    try? InputSchema([
      "type": "object", "properties": ["question": ["type": "string"]], "required": ["question"],
    ])
  }

  func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    guard let question = input["question"]?.string else {
      throw AgentError(code: "VALIDATION_ERROR", message: "/question: a string is required")
    }
    try await context.emitProgress("searching", 0.5)
    let found = Self.answers.first { question.lowercased().contains($0.key) }
    try await context.emit("matched", ["topic": found.map { .string($0.key) } ?? .null])
    let answer = found?.value ?? "Let me connect you to a person."
    try await speak(answer)
    return ["answer": .string(answer), "handed_over": .bool(found == nil)]
  }

  /// Deep inside an agent the context need not be passed along.
  private func speak(_ answer: String) async throws {
    for word in answer.split(separator: " ") {
      try await StreamContext.current?.emitToken(word + " ")
      try await Task.sleep(for: .milliseconds(20))
    }
  }
}

@main
struct SupportBotServer {
  static func main() { Dockrion.main(agents: ["support-bot": SupportBot()]) }
}
