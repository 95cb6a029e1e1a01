import DockrionCore
import DockrionProgram
import Foundation

/// The dialogue of `dockrion init` on a terminal. Enter takes the default; a wrong answer is explained and asked
/// for again; the end of input gives up with nothing written.
struct InitQuestions {
  /// The name from the command line, which is then not asked for.
  let name: String?

  func ask() throws -> DockfileTemplate {
    Output.line("This writes a Dockfile. Enter takes what stands in brackets; Ctrl-C writes nothing.")
    var template = DockfileTemplate(name: "")
    if let name {
      template.name = name
    } else {
      template.name = try question("Name of the agent", default: Self.nameOfDirectory()) { answer in
        try Self.refuse(DockfileTemplate.problem(withName: answer))
        return answer
      }
    }
    let handler = try question(
      "Handler: echo, scripted, or the name of your own agent", default: "echo"
    ) { answer in
      try Self.refuse(DockfileTemplate.problem(withHandler: answer))
      return answer
    }
    if handler != "echo" { template.handler = handler }
    template.streaming = try word("Stream events from /invoke/stream: sse or none", default: .sse)
    var section = StreamingSection()
    section.events = try question(
      "Events: minimal, chat, debug, all, or a list such as token,step,custom:fraud", default: "all"
    ) { try EventWords(parsing: $0) }
    section.asyncRuns = try yesOrNo("Serve managed runs at /runs", default: true)
    if section.asyncRuns == true {
      section.backend = try word("Keep runs in: memory or redis", default: .memory)
    }
    template.section = section
    template.cors = try yesOrNo("Let web pages of any origin call it", default: false)
    template.auth = try word("Ask clients for a key: none or api_key", default: .none)
    return template
  }

  /// The directory's name with what a name may not hold replaced, or `my-agent`.
  private static func nameOfDirectory() -> String {
    let directory = URL(fileURLWithPath: FileManager.default.currentDirectoryPath).lastPathComponent
    let name = String(
      directory.map { $0.isASCII && ($0.isLetter || $0.isNumber || "_.-".contains($0)) ? $0 : "-" })
    return DockfileTemplate.problem(withName: name) == nil ? name : "my-agent"
  }

  private static func refuse(_ problem: String?) throws {
    if let problem { throw CommandError(problem) }
  }

  private func word<Word: RawRepresentable & CaseIterable>(_ text: String, default fallback: Word) throws
    -> Word where Word.RawValue == String
  {
    try question(text, default: fallback.rawValue) { answer in
      if let word = Word(rawValue: answer.lowercased()) { return word }
      let words = Word.allCases.map(\.rawValue).joined(separator: " or ")
      throw CommandError("\(quoted(answer)) is neither; answer \(words)")
    }
  }

  private func yesOrNo(_ text: String, default fallback: Bool) throws -> Bool {
    try question(text, default: fallback ? "yes" : "no") { answer in
      switch answer.lowercased() {
      case "y", "yes": return true
      case "n", "no": return false
      default: throw CommandError("\(quoted(answer)) is neither; answer yes or no")
      }
    }
  }

  private func question<Answer>(
    _ text: String, default fallback: String, read: (String) throws -> Answer
  ) throws -> Answer {
    while true {
      Output.text(
        Terminal.output.styled(text, .bold) + " " + Terminal.output.styled("[\(fallback)]", .dim) + " ")
      guard let line = readLine() else {
        Output.text("\n")
        throw CommandError("init: the input ended before all questions were answered; nothing was written")
      }
      let answer = line.trimmingCharacters(in: .whitespaces)
      do { return try read(answer.isEmpty ? fallback : answer) } catch let problem as CommandError {
        Output.line("  \(problem)")
      }
    }
  }
}
