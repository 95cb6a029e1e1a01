import DockrionCore
import Foundation
import Testing

/// `dockrion init` in front of a person: a real pseudo-terminal.
struct InitDialogueTests {
  private static let questions = [
    "Handler", "Stream events", "Events:", "Serve managed runs", "Keep runs in", "Let web pages",
    "Ask clients",
  ]

  @Test func takesTheDefaultsWithEnter() throws {
    let directory = try TemporaryDirectory()
    let terminal = try PseudoTerminal()
    let command = try Command(["init", "my-agent"], in: directory, terminal: terminal)
    for question in Self.questions {
      try terminal.wait(for: question)
      terminal.type("\n")
    }
    #expect(try command.finish().code == 0)
    #expect(terminal.shown.contains("dockrion run"))
    let dockfile = try Dockfile.load(path: directory.path + "/Dockfile.yaml")
    #expect(dockfile.agent.name == "my-agent")
    #expect(dockfile.agent.lookupName == "echo")
    #expect(dockfile.streaming.filter == .everything)
    #expect(dockfile.auth == .none)
  }

  @Test func takesAnswersAndExplainsWrongOnes() throws {
    let directory = try TemporaryDirectory()
    let terminal = try PseudoTerminal()
    let command = try Command(["init"], in: directory, terminal: terminal)
    func answer(_ question: String, _ answer: String) throws {
      try terminal.wait(for: question)
      terminal.type(answer + "\n")
    }
    try answer("Name of the agent", "not a name")
    try answer("is not a name", "fraud-bot")
    try answer("Handler", "scripted")
    try answer("Stream events", "websocket")
    try answer("is neither; answer sse or none", "none")
    try answer("Events:", "token,custom:fraud,stepp")
    try answer("did you mean step?", "token,custom:fraud")
    try answer("Serve managed runs", "maybe")
    try answer("answer yes or no", "y")
    try answer("Keep runs in", "memory")
    try answer("Let web pages", "yes")
    try answer("Ask clients", "api_key")
    #expect(try command.finish().code == 0, "\(terminal.shown)")
    let dockfile = try Dockfile.load(path: directory.path + "/Dockfile.yaml")
    #expect(dockfile.agent.name == "fraud-bot")
    #expect(dockfile.agent.lookupName == "scripted")
    #expect(!dockfile.expose.streaming)
    #expect(dockfile.streaming.filter.words == ["token", "custom:fraud"])
    #expect(dockfile.streaming.asyncRuns)
    #expect(dockfile.expose.cors?.origins == ["*"])
    #expect(dockfile.auth == .apiKey(envVar: "DOCKRION_API_KEY", header: "X-API-Key", allowBearer: true))
  }

  @Test func asksNothingWithAnOption() throws {
    let directory = try TemporaryDirectory()
    let terminal = try PseudoTerminal()
    let command = try Command(["init", "my-agent", "--streaming", "sse"], in: directory, terminal: terminal)
    #expect(try command.finish().code == 0)
    #expect(!terminal.shown.contains("Handler"))
  }

  @Test(arguments: [("\u{3}", 130), ("\u{4}", 1)] as [(String, Int32)])
  func writesNothingWhenThePersonLeaves(key: String, code: Int32) throws {
    let directory = try TemporaryDirectory()
    let terminal = try PseudoTerminal()
    let command = try Command(["init", "my-agent"], in: directory, terminal: terminal)
    try terminal.wait(for: "Handler")
    terminal.type(key)
    #expect(try command.finish().code == code)
    #expect(try directory.names().isEmpty)
  }

  @Test func saysBeforeTheQuestionsThatTheFileExists() throws {
    let directory = try TemporaryDirectory(dockfile: "mine")
    let terminal = try PseudoTerminal()
    let command = try Command(["init", "my-agent"], in: directory, terminal: terminal)
    #expect(try command.finish().code == 1)
    #expect(!terminal.shown.contains("Handler"))
    #expect(try directory.read("Dockfile.yaml") == "mine")
  }
}
