import Testing

@testable import DockrionCLI
@testable import DockrionProgram

struct ServerSentEventsTests {
  private func events(_ text: String, chunk: Int = .max) -> [ServerSentEvent] {
    var parser = ServerSentEventParser()
    var events: [ServerSentEvent] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      events += parser.feed(rest.prefix(chunk))
      rest = rest.dropFirst(chunk)
    }
    return events
  }

  @Test(arguments: ["\n", "\r\n", "\r"], [1, 2, 3, 7, .max])
  func readsAnyLineEndInAnyPieces(end: String, chunk: Int) {
    let text =
      ": comment\nid: 7\nevent: token\ndata: {\"a\":\ndata:1}\n\ndata\ndata\n\nevent: x\n\nunknown: y\ndata:  z\n\n"
      .replacing("\n", with: end)
    #expect(
      events(text, chunk: chunk) == [
        ServerSentEvent(type: "token", data: "{\"a\":\n1}", id: "7"),
        ServerSentEvent(type: "message", data: "\n", id: nil),
        ServerSentEvent(type: "message", data: " z", id: nil),
      ])
  }

  @Test func anEventWithoutItsEmptyLineIsNone() {
    #expect(events("data: a\n").isEmpty)
    #expect(events("\u{FEFF}data: a\n\n").first?.data == "a")
    #expect(events("data: é\n\n", chunk: 1).first?.data == "é")
  }

  @Test func aRetryAndACommentBelongToTheEventBehindThem() {
    #expect(
      events(": keep-alive\nretry: 2000\nid: 1\nevent: started\ndata: {}\n\n: keep-alive\n: keep-alive\n")
        == [ServerSentEvent(type: "started", data: "{}", id: "1")])
  }

  @Test func keepsTheLastIDAndTheRetry() {
    var parser = ServerSentEventParser()
    _ = parser.feed("id: 3\nretry: 250\ndata: a\n\nid: 4\n\nid: 5\ndata: cut".utf8)
    #expect(parser.lastEventID == "4")
    #expect(parser.retryMilliseconds == 250)
    _ = parser.feed("\nretry: 1s\nid: a\0b\ndata: x\n\n".utf8)
    #expect(parser.retryMilliseconds == 250)
    parser.reconnect()
    #expect(parser.lastEventID == "5")
    #expect(parser.feed("data: b\n\n".utf8) == [ServerSentEvent(type: "message", data: "b", id: nil)])
  }

  @Test func waitsTwiceAsLongEachTimeUpToABound() {
    var backoff = Backoff()
    #expect((0..<4).map { _ in backoff.next(retryMilliseconds: 2000) } == [2000, 4000, 8000, 16_000])
    #expect((0..<30).map { _ in backoff.next(retryMilliseconds: 2000) }.allSatisfy { $0 == 30_000 })
    backoff.reset()
    #expect(backoff.next(retryMilliseconds: nil) == 1000)
    #expect(backoff.next(retryMilliseconds: Int.max) == 30_000)
  }
}
