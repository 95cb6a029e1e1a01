import LoadClient
import Testing

private func read(_ text: String, pieces: Int) throws -> [Event] {
  let reader = EventReader()
  var events: [Event] = []
  let bytes = Array(text.utf8)
  for start in stride(from: 0, to: bytes.count, by: pieces) {
    try Array(bytes[start..<min(bytes.count, start + pieces)]).withUnsafeBytes { piece in
      try reader.feed(piece) { events.append($0) }
    }
  }
  #expect(reader.isBetweenEvents)
  return events
}

@Suite struct EventReaderTests {
  static let stream = """
    retry: 2000
    id: 1
    event: started
    data: {"run_id":"q","type":"started","sequence":1,"timestamp":"T","agent_name":"bench"}

    : keep-alive
    id: 2
    event: token
    data: {"run_id":"q","type":"token","sequence":2,"timestamp":"T","content":"tok0 "}

    id: 3
    event: token
    data: {"run_id":"q","type":"token","sequence":3,"timestamp":"T","content":"t=851049553180 xxx"}

    event: heartbeat
    data: {"run_id":"q","type":"heartbeat","timestamp":"T"}

    id: 4
    event: complete
    data: {"run_id":"q","type":"complete","sequence":4,"timestamp":"T","output":{"tokens":2}}


    """

  @Test(arguments: 1...200) func eventsInPiecesOfAnySize(pieces: Int) throws {
    let events = try read(Self.stream, pieces: pieces)
    #expect(
      events == [
        Event(kind: .started, id: 1, sequence: 1),
        Event(kind: .token, id: 2, sequence: 2, content: .number(0)),
        Event(kind: .token, id: 3, sequence: 3, content: .stamp(851_049_553_180)), Event(kind: .heartbeat),
        Event(kind: .terminal, id: 4, sequence: 4),
      ])
  }

  @Test func idsThatAreNoNumbersAreLeftOut() throws {
    let events = try read("id: 1795440140:0\ndata: {\"sequence\":7}\n\n", pieces: 9)
    #expect(events == [Event(kind: .other, sequence: 7)])
  }

  @Test func anEventThatIsCutShows() throws {
    let reader = EventReader()
    try Array("event: token\ndata: {}\n".utf8).withUnsafeBytes { try reader.feed($0) { _ in } }
    #expect(!reader.isBetweenEvents)
  }
}

@Suite struct SequenceCheckTests {
  private func fault(_ sequences: [Int], tokens: Int = 3, ends: Bool = true) -> String? {
    var check = SequenceCheck()
    for sequence in sequences {
      let kind: Event.Kind = sequence == 1 ? .started : sequence == tokens + 2 ? .terminal : .token
      let content: Event.Content? = kind == .token ? .number(sequence - 2) : nil
      check.take(Event(kind: kind, sequence: sequence, content: content))
    }
    return check.fault(tokens: tokens)
  }

  @Test func wholeStreamHasNoFault() { #expect(fault([1, 2, 3, 4, 5]) == nil) }
  @Test func lostEventsAreNamed() { #expect(fault([1, 2, 5]) == "lost: events 3…4") }
  @Test func doubledEventsAreNamed() { #expect(fault([1, 2, 2, 3]) == "event 2 again or late, after 2") }
  @Test func reorderedEventsAreNamed() { #expect(fault([1, 3, 2])?.hasPrefix("lost") == true) }
  @Test func theEndMustCome() { #expect(fault([1, 2, 3, 4]) == "no terminal event after event 4") }

  @Test func gapsAndLateEventsAreFaults() {
    var check = SequenceCheck()
    check.take(Event(kind: .gap))
    #expect(check.fault(tokens: 0) == "a gap after event 0")
    check = SequenceCheck()
    check.take(Event(kind: .terminal, sequence: 1))
    check.take(Event(kind: .token, sequence: 2))
    #expect(check.fault(tokens: 0) == "an event after the terminal one")
  }

  @Test func aTokenUnderAnothersNumberIsAFault() {
    var check = SequenceCheck()
    check.take(Event(kind: .started, sequence: 1))
    check.take(Event(kind: .token, sequence: 2, content: .number(1)))
    #expect(check.violation == "event 2 holds token 1")
  }

  @Test func heartbeatsCountForNothing() {
    var check = SequenceCheck()
    check.take(Event(kind: .heartbeat))
    #expect(check.violation == nil && check.last == 0)
  }
}
