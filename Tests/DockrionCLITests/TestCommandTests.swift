import DockrionCore
import Foundation
import Testing

/// `dockrion test`: one run in the process.
struct TestCommandTests {
  private static let scripted = "agent: {name: bot, handler: scripted}\n"
  private static let script = """
    {"emit":[{"type":"progress","step":"read","progress":0.5,"message":"half"},\
    {"type":"custom","name":"fraud","data":{"score":0.02}},{"type":"checkpoint","name":"c","data":{"a":1}}],\
    "tokens":2,"output":{"ok":true}}
    """

  @Test func printsCleanLinesOnAPipe() throws {
    let directory = try TemporaryDirectory(dockfile: Self.scripted)
    let result = try dockrion("test", "-p", Self.script, in: directory)
    #expect(result.code == 0, "\(result.err)")
    var lines = result.out.split(separator: "\n").map(String.init)
    #expect(lines.removeLast() == "{\"ok\":true}")
    let last = lines.removeLast()
    #expect(last.wholeMatch(of: /7    complete   after [\d.]+ (ms|s)/) != nil, "\(last)")
    #expect(
      lines == [
        "1    started    bot (swift)", "2    progress   50% read half", "3    fraud      {\"score\":0.02}",
        "4    checkpoint c {\"a\":1}", "5    token      \"tok0 \"", "6    token      \"tok1 \"",
      ])
    #expect(result.err.isEmpty)
  }

  @Test func filtersAsTheServerDoes() throws {
    let directory = try TemporaryDirectory(
      dockfile: Self.scripted + "streaming: {events: {allowed: [custom:fraud]}}\n")
    let result = try dockrion("test", "-p", Self.script, "--format", "jsonl", in: directory)
    #expect(result.code == 0)
    let events = try result.out.split(separator: "\n").map { try JSONObject(parsing: String($0)) }
    #expect(events.map { $0["type"]?.string } == ["started", "fraud", "complete"])
    #expect(events.map { $0["sequence"]?.int } == [1, 2, 3])
    #expect(events.last?["output"] == ["ok": true])
  }

  @Test func printsTheWireFormAsWell() throws {
    let directory = try TemporaryDirectory(dockfile: "agent: {name: bot, handler: echo}\n")
    try directory.write("{\"text\": \"Hi\"}", to: "payload.json")
    let result = try dockrion("test", "-f", "payload.json", "--format", "sse", in: directory)
    #expect(result.code == 0)
    let blocks = result.out.components(separatedBy: "\n\n")
    #expect(blocks.count == 5 && blocks.last == "")
    #expect(blocks[0].hasPrefix("event: started\ndata: {\"request_id\":\""))
    #expect(blocks[2].contains("\"content\":\"Hi\""))
    let piped = try dockrion("test", "-f", "-", in: directory, input: "{\"text\":\"Hi\"}")
    #expect(piped.out.hasSuffix("{\"text\":\"Hi\"}\n"))
  }

  @Test func exitsWith1WhenTheAgentFails() throws {
    let directory = try TemporaryDirectory(dockfile: Self.scripted)
    let result = try dockrion(
      "test", "-p", #"{"tokens":0,"fail":"no money","code":"BROKE"}"#, in: directory)
    #expect(result.code == 1)
    #expect(result.out.hasSuffix("2    error      BROKE: no money\n"))
  }

  @Test(arguments: [
    ("{\"text\":5}", "/text: 5 is not a string"), ("{}", "/text: it is required"),
    ("[1]", "this is no JSON object"), ("{", "--payload: this is no JSON object"),
  ])
  func checksThePayload(payload: String, sentence: String) throws {
    let directory = try TemporaryDirectory(dockfile: "agent: {name: bot, handler: echo}\n")
    let result = try dockrion("test", "-p", payload, in: directory)
    #expect(result.code == 1)
    #expect(result.out.isEmpty)
    #expect(result.err.contains(sentence), "\(result.err)")
  }

  @Test func checksTheDockfilesOwnSchemasInAndOut() throws {
    let directory = try TemporaryDirectory(
      dockfile: Self.scripted
        + "io_schema: {input: {required: [who]}, output: {properties: {ok: {type: boolean}}}}\n")
    let refused = try dockrion("test", "-p", "{}", in: directory)
    #expect(refused.code == 1 && refused.err.contains("io_schema.input: /who: it is required"))
    let good = try dockrion("test", "-p", #"{"who":1,"output":{"ok":true}}"#, in: directory)
    #expect(good.code == 0, "\(good.err)")
    let bad = try dockrion("test", "-p", #"{"who":1,"output":{"ok":"yes"}}"#, in: directory)
    #expect(bad.code == 1 && bad.err.contains("io_schema.output: /ok: \"yes\" is not a boolean"))
  }

  @Test func holdsTheTimeLimit() throws {
    let directory = try TemporaryDirectory(
      dockfile: Self.scripted + "streaming: {events: {max_run_duration: 1}}\n")
    let result = try dockrion("test", "-p", #"{"tokens":1,"hang":true}"#, in: directory)
    #expect(result.code == 1)
    #expect(result.out.contains("RUN_TIMEOUT: the run took longer than 1 seconds"))
  }

  @Test func printsEventsWhileTheAgentWorksAndCancelsItOnCtrlC() throws {
    let directory = try TemporaryDirectory(dockfile: Self.scripted)
    let command = try Command(["test", "-p", #"{"tokens":2,"hang":true}"#], in: directory)
    let came = eventually(within: 20) { command.out.contains("tok1") }
    #expect(came)
    command.signal(SIGINT)
    let result = try command.finish()
    #expect(result.code == 130)
    #expect(result.out.hasSuffix("4    cancelled  interrupted\n"), "\(result.out)")
  }

  @Test func aBlockedAgentIsLeftBehind() throws {
    let directory = try TemporaryDirectory(dockfile: Self.scripted)
    let command = try Command(["test", "-p", #"{"tokens":1,"block_ms":60000}"#], in: directory)
    let came = eventually(within: 20) { command.out.contains("tok0") }
    #expect(came)
    command.signal(SIGINT)
    #expect(try command.finish(within: 10).code == 130)
  }

  @Test func letsTokensFlowAndProgressMoveOnATerminal() throws {
    let directory = try TemporaryDirectory(dockfile: Self.scripted)
    let terminal = try PseudoTerminal()
    let payload = """
      {"emit":[{"type":"progress","step":"read","progress":0.5},{"type":"progress","step":"read","progress":1},\
      {"type":"token","content":"Hel"},{"type":"token","content":"lo\\u001b[2J"}],"tokens":0}
      """
    let command = try Command(["test", "-p", payload], in: directory, terminal: terminal)
    #expect(try command.finish().code == 0)
    let shown = terminal.shown
    #expect(shown.contains("\r\u{1B}[K██████████░░░░░░░░░░ 50% read"))
    #expect(shown.contains("\r\u{1B}[K████████████████████ 100% read\r\nHello\u{FFFD}[2J\r\n"), "\(shown)")
    #expect(shown.hasSuffix("{\"tokens\":0}\r\n"))
  }

  @Test func namesTheAgentsThatItHas() throws {
    let directory = try TemporaryDirectory(dockfile: "agent: {name: mine}\n")
    let result = try dockrion("test", in: directory)
    #expect(result.code == 1)
    #expect(result.err.contains("agent.name: \"mine\" is not registered; this program has: echo, scripted"))
  }
}
