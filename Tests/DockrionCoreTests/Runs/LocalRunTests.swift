import Testing

@testable import DockrionCore

struct LocalRunTests {
  private func run(_ sections: String = "") throws -> LocalRun {
    LocalRun(
      try Dockfile.parse("agent: {name: a, handler: scripted}\n" + sections, environment: [:]),
      identity: .request("local"))
  }

  /// The kinds of the events, whose sequences have no hole.
  private func play(
    _ run: LocalRun, _ input: JSONObject,
    each: (EventRecord) throws -> Void = { _ in }
  ) throws -> (kinds: [EventKind], outcome: LocalRun.Outcome) {
    var kinds: [EventKind] = []
    let outcome = try run.play(ScriptedAgent(), input: input) { sequence, record in
      kinds.append(record.kind)
      #expect(sequence == kinds.count)
      try each(record)
    }
    return (kinds, outcome)
  }

  @Test func playsAnAgentThroughTheFilter() throws {
    let run = try run("streaming: {events: {allowed: [token]}}\n")
    let (kinds, outcome) = try play(
      run, ["tokens": 2, "emit": [["type": "progress", "step": "s", "progress": 1]], "output": ["a": 1]])
    #expect(kinds == [.started, .token, .token, .complete])
    guard case .completed(let output) = outcome else { throw AgentError(message: "\(outcome)") }
    #expect(String(decoding: output, as: UTF8.self) == "{\"a\":1}")
  }

  @Test func drainsARingThatIsSmallerThanTheRun() throws {
    let (kinds, _) = try play(try run("runtime: {ring_capacity: 2}\n"), ["tokens": 5000])
    #expect(kinds.count == 5002)
  }

  @Test func endsWithTheAgentsFailure() throws {
    let (kinds, outcome) = try play(try run(), ["tokens": 0, "fail": "no", "code": "BROKE"])
    #expect(kinds == [.started, .error])
    guard case .failed(let error) = outcome else { throw AgentError(message: "\(outcome)") }
    #expect(error == AgentError(code: "BROKE", message: "no"))
  }

  /// What stands around a value in a reply must not make it deeper than readers go.
  @Test func whatIsNestedTooDeepIsNotSent() throws {
    func nested(_ levels: Int) -> JSONObject {
      ["deep": (2..<levels).reduce(JSONValue.array([])) { inner, _ in .array([inner]) }]
    }
    let most = Limits.valueLevelsMax
    let good: JSONObject = [
      "tokens": 0, "output": .object(nested(most)),
      "emit": [["type": "checkpoint", "name": "c", "data": .object(nested(most))]],
    ]
    #expect(try play(try run(), good).kinds == [.started, .checkpoint, .complete])
    let (kinds, outcome) = try play(try run(), ["tokens": 0, "output": .object(nested(most + 1))])
    #expect(kinds == [.started, .error])
    guard case .failed(let error) = outcome else { throw AgentError(message: "\(outcome)") }
    #expect(
      error.message.hasPrefix("the agent's output cannot be sent: output.deep[0][0]")
        && error.message.hasSuffix("…: it is nested deeper than may be written"), "\(error.message)")
    #expect(error.message.utf8.count < 200)
    let emit: JSONValue = [["type": "checkpoint", "name": "c", "data": .object(nested(most + 1))]]
    #expect(try play(try run(), ["tokens": 0, "emit": emit]).kinds == [.started, .error])
    let details = AgentError(message: "no", details: nested(most + 1)).withDetailsThatCanBeSent().details
    #expect(details.map { Array($0.names) } == ["unreadable"])
  }

  @Test func isCancelledFromAnotherThread() throws {
    let run = try run()
    let canceller = run.canceller
    let (kinds, outcome) = try play(run, ["tokens": 1, "hang": true]) { record in
      if record.kind == .token { canceller.cancel(reason: "enough") }
    }
    #expect(kinds == [.started, .token, .cancelled])
    guard case .cancelled = outcome else { throw AgentError(message: "\(outcome)") }
  }

  @Test func isCancelledBeforeItBegins() throws {
    let run = try run()
    run.canceller.cancel(reason: "too late")
    let (kinds, _) = try play(run, ["tokens": 0, "hang": true])
    #expect(kinds == [.started, .cancelled])
  }

  @Test func holdsTheTimeLimit() throws {
    let (kinds, outcome) = try play(
      try run("streaming: {events: {max_run_duration: 1}}\n"), ["tokens": 0, "hang": true])
    #expect(kinds == [.started, .error])
    guard case .failed(let error) = outcome else { throw AgentError(message: "\(outcome)") }
    #expect(error.code == "RUN_TIMEOUT")
  }

  @Test func passesOnWhatTheReceiverThrows() throws {
    let run = try run()
    #expect(throws: AgentError.self) {
      try play(run, ["tokens": 1, "hang": true]) { record in
        if record.kind == .token { throw AgentError(message: "no more") }
      }
    }
  }
}
