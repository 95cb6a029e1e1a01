import Testing

/// Clients that others wrote and people use, on the streams that they find hardest: each of them makes an event
/// without data of an empty line that it does not expect, and its users then fail to decode it.
@Suite(.sharesMachine) struct ForeignClientTests {
  private static let clients = ["httpx-sse", "openai", "aiosseclient"]

  @Test(arguments: clients)
  func aReplayIsReadEventByEvent(_ client: String) throws {
    try withServer(dockfile("echo")) { server throws in
      let run = try server.completedRun(#"{"text":"one two"}"#)
      let events = try read(server, "/runs/\(run)/events", with: client)
      #expect(events.map { $0["type"]?.string } == ["started", "step", "token", "token", "complete"])
      #expect(events.map { $0["id"]?.string } == ["1", "2", "3", "4", "5"])
      #expect(events.map { $0["data"]?["sequence"]?.int } == [1, 2, 3, 4, 5])
    }
  }

  @Test(arguments: clients)
  func commentsBetweenEventsAreNoEvents(_ client: String) throws {
    let quiet = "streaming: {events: {allowed: [token], heartbeat_interval: 1}}"
    try withServer(dockfile("scripted", quiet)) { server throws in
      let run = try server.startRun(#"{"tokens":2,"interval_ms":2500}"#)
      let events = try read(server, "/runs/\(run)/events", with: client)
      #expect(events.map { $0["type"]?.string } == ["started", "token", "token", "complete"])
      #expect(events.map { $0["data"]?["sequence"]?.int } == [1, 2, 3, 4])
    }
  }

  @Test(arguments: clients)
  func aGapAndATimeoutAreEventsLikeOthers(_ client: String) throws {
    try withServer(dockfile("scripted", "streaming: {memory: {max_events_per_run: 10}}")) { server throws in
      let run = try server.startRun(#"{"tokens":20,"hang":true}"#)
      #expect(try eventually(within: 10) { try server.run(run)["last_sequence"]?.int == 21 })
      let events = try read(server, "/runs/\(run)/events?timeout=1", with: client)
      #expect(
        events.map { $0["type"]?.string } == ["gap"] + Array(repeating: "token", count: 10) + ["timeout"])
      #expect(events.first?["data"]?["to_sequence"]?.int == 11)
    }
  }

  private func read(_ server: ServerProcess, _ path: String, with client: String) throws -> [JSON] {
    let result = try runPython("decode.py", client, "http://127.0.0.1:\(server.port)\(path)")
    guard result.code == 0 else { throw ClientError("\(client): \(result.output)") }
    return try result.output.split(separator: "\n").map { try JSON(String($0)) }
  }
}
