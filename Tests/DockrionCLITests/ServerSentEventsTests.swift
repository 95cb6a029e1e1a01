import DockrionCore
import Testing

@testable import DockrionCLI
@testable import DockrionProgram

struct ServerSentEventsTests {
  private func events(_ text: String, chunk: Int = .max) throws -> [ServerSentEvent] {
    var parser = ServerSentEventParser()
    var events: [ServerSentEvent] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      events += try parser.feed(rest.prefix(chunk))
      rest = rest.dropFirst(chunk)
    }
    return events
  }

  @Test(arguments: ["\n", "\r\n", "\r"], [1, 2, 3, 7, .max])
  func readsAnyLineEndInAnyPieces(end: String, chunk: Int) throws {
    let text =
      ": comment\nid: 7\nevent: token\ndata: {\"a\":\ndata:1}\n\ndata\ndata\n\nevent: x\n\nunknown: y\ndata:  z\n\n"
      .replacing("\n", with: end)
    #expect(
      try events(text, chunk: chunk) == [
        ServerSentEvent(type: "token", data: "{\"a\":\n1}", id: "7"),
        ServerSentEvent(type: "message", data: "\n", id: nil),
        ServerSentEvent(type: "message", data: " z", id: nil),
      ])
  }

  @Test func anEventWithoutItsEmptyLineIsNone() throws {
    #expect(try events("data: a\n").isEmpty)
    #expect(try events("\u{FEFF}data: a\n\n").first?.data == "a")
    #expect(try events("data: é\n\n", chunk: 1).first?.data == "é")
  }

  @Test func aRetryAndACommentBelongToTheEventBehindThem() throws {
    #expect(
      try events(": keep-alive\nretry: 2000\nid: 1\nevent: started\ndata: {}\n\n: keep-alive\n: keep-alive\n")
        == [ServerSentEvent(type: "started", data: "{}", id: "1")])
  }

  @Test func keepsTheLastIDAndTheRetry() throws {
    var parser = ServerSentEventParser()
    _ = try parser.feed("id: 3\nretry: 250\ndata: a\n\nid: 4\n\nid: 5\ndata: cut".utf8)
    #expect(parser.lastEventID == "4")
    #expect(parser.retryMilliseconds == 250)
    _ = try parser.feed("\nretry: 1s\nid: a\0b\ndata: x\n\n".utf8)
    #expect(parser.retryMilliseconds == 250)
    parser.reconnect()
    #expect(parser.lastEventID == "5")
    #expect(try parser.feed("data: b\n\n".utf8) == [ServerSentEvent(type: "message", data: "b", id: nil)])
  }

  @Test func anEventBeyondItsBoundIsRefused() throws {
    let bound = Limits.receivedEventBytesMax
    let most = String(repeating: "x", count: bound - "event: token\ndata: ".utf8.count)
    #expect(try events("event: token\ndata: \(most)\n\ndata: \(most)\n\n").count == 2)
    #expect(throws: StreamTooLarge.self) { try events("event: token\ndata: \(most)x\n\n") }
    // Each line for itself is short.
    #expect(throws: StreamTooLarge.self) { try events(String(repeating: "data: x\n", count: bound / 8 + 1)) }
    #expect(throws: StreamTooLarge.self) { try events(": \(most)" + most) }
    #expect(try events(String(repeating: ": keep-alive\n", count: bound / 10)).isEmpty)
    // An output may be larger.
    #expect(try events("event: complete\ndata: \(most)\(most)\n\n").count == 1)
  }
}
