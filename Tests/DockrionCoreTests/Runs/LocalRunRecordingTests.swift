import DockrionCore
import Testing

/// What tests of agents are written with.
struct LocalRunRecordingTests {
  @Test func recordsEveryEventAndTheOutput() throws {
    let run = try LocalRun.record(
      ScriptedAgent(),
      input: [
        "tokens": 2, "emit": [["type": "custom", "name": "seen", "data": ["a": 1]]],
        "output": ["ok": true],
      ])
    #expect(run.events.map(\.type) == ["started", "seen", "token", "token", "complete"])
    #expect(run.events.map(\.sequence) == [1, 2, 3, 4, 5])
    #expect(run.events[1].fields == ["a": 1])
    #expect(run.text == "tok0 tok1 ")
    #expect(run.output == ["ok": true])
    #expect(run.error == nil)
  }

  @Test func recordsAFailure() throws {
    let run = try LocalRun.record(
      ScriptedAgent(), input: ["tokens": 0, "fail": "no", "code": "BROKE"])
    #expect(run.events.map(\.type) == ["started", "error"])
    #expect(run.error == AgentError(code: "BROKE", message: "no"))
    #expect(run.output == nil)
  }

  @Test func checksThePayloadAndFiltersAsAServerDoes() throws {
    #expect(throws: InputSchemaViolation.self) {
      try LocalRun.record(EchoAgent(), input: ["text": 5])
    }
    var dockfile = Dockfile(agent: Dockfile.Agent(name: "echo"))
    dockfile.streaming.filter = .minimal
    let run = try LocalRun.record(EchoAgent(), input: ["text": "Hi"], dockfile: dockfile)
    #expect(run.events.map(\.type) == ["started", "complete"])
    #expect(run.output == ["text": "Hi"])
  }
}
