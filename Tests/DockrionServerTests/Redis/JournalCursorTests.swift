import Testing

@testable import DockrionServer

@Suite struct JournalCursorTests {
  @Test func writesThatAreDoneMoveOn() {
    var cursor = JournalCursor()
    cursor.begin(through: 7, end: nil)
    #expect(cursor.isUnderWay)
    #expect(cursor.answered(.done, last: 9, end: nil) == .goOn)
    #expect(cursor.stored == 7 && !cursor.isUnderWay && !cursor.isSettled)
    cursor.begin(through: 9, end: "completed")
    #expect(cursor.answered(.done, last: 9, end: "completed") == .settled)
    #expect(cursor.stored == 9 && cursor.isSettled)
  }

  @Test func aLostAnswerIsClearedUpByTheNextOne() {
    var cursor = JournalCursor()
    cursor.begin(through: 7, end: nil)
    #expect(cursor.answered(.lost, last: 9, end: nil) == .wait)
    #expect(cursor.stored == 0)
    cursor.begin(through: 9, end: nil)
    #expect(cursor.answered(.at(7), last: 9, end: nil) == .goOn)
    #expect(cursor.stored == 7)
  }

  @Test func aRedisThatLostItsLastSecondGetsItAgain() {
    var cursor = JournalCursor()
    cursor.begin(through: 9, end: "failed")
    #expect(cursor.answered(.done, last: 9, end: "failed") == .settled)
    cursor.begin(through: 9, end: "failed")
    #expect(cursor.answered(.at(4), last: 9, end: "failed") == .goOn)
    #expect(cursor.stored == 4 && !cursor.isSettled)
  }

  /// Redis went back to 3 and got somebody else's end at 4: what was stored behind 3 once is known here alone.
  @Test func anEndBeforeWhatWasStoredTakesItBack() {
    var cursor = JournalCursor()
    cursor.begin(through: 9, end: nil)
    #expect(cursor.answered(.done, last: 9, end: nil) == .goOn)
    cursor.begin(through: 12, end: nil)
    #expect(cursor.answered(.final(4, "failed"), last: 12, end: nil) == .disown)
    #expect(cursor.stored == 3)
  }

  @Test func anEndThatIsOursSettlesAndAnotherOneDisowns() {
    for (answer, action) in [
      (JournalCursor.Answer.final(9, "completed"), JournalCursor.Action.settled),
      (.final(9, "failed"), .disown), (.final(8, "completed"), .disown), (.fenced, .disown),
      (.at(10), .disown),
    ] {
      var cursor = JournalCursor()
      cursor.begin(through: 9, end: "completed")
      #expect(cursor.answered(answer, last: 9, end: "completed") == action, "\(answer)")
    }
    var running = JournalCursor()
    running.begin(through: 9, end: nil)
    #expect(running.answered(.final(9, "failed"), last: 9, end: nil) == .disown)
  }

  @Test func aRecordThatVanishesAgainAndAgainIsGivenUp() {
    var cursor = JournalCursor()
    for _ in 0..<JournalCursor.rebuildsMax {
      cursor.begin(through: 5, end: nil)
      #expect(cursor.answered(.gone, last: 5, end: nil) == .rebuild)
      #expect(cursor.stored == 0)
    }
    cursor.begin(through: 5, end: nil)
    #expect(cursor.answered(.gone, last: 5, end: nil) == .disown)
  }
}

@Suite struct StoredEventsTests {
  private func events(_ text: String) -> [String] {
    var found: [String] = []
    StoredEvents.forEach(Array(text.utf8)) { event in
      found.append("\(event.sequence) \(event.kind) \(event.customName ?? "-") \(event.bytes.count)")
      return true
    }
    return found
  }

  @Test func eachEventIsFoundWithItsSequenceAndKind() {
    let one = "id: 1\nevent: started\ndata: {}\n\n"
    let two = "id: 22\nevent: fraud_check\ndata: {\"a\":1}\n\n"
    #expect(events(one + two) == ["1 started - \(one.count)", "22 custom fraud_check \(two.count)"])
  }

  @Test(arguments: [
    "", "\n\n", "id: 1\n\n", "id: x\nevent: token\ndata: {}\n\n", "id: 0\nevent: token\ndata: {}\n\n",
    "event: token\nid: 1\ndata: {}\n\n", "id: 1\nevent: token\ndata: {}\n",
    "id: 99999999999999999999\nevent: a\n\n",
  ])
  func whatIsNoEventEndsTheWalk(_ text: String) {
    #expect(events(text) == [])
    let good = "id: 1\nevent: token\ndata: {}\n\n"
    #expect(events(good + text) == ["1 token - \(good.count)"])
  }

  @Test func theWalkStopsWhenAsked() {
    let one = "id: 1\nevent: token\ndata: {}\n\n"
    var count = 0
    StoredEvents.forEach(Array((one + one + one).utf8)) { _ in
      count += 1
      return count < 2
    }
    #expect(count == 2)
  }
}

@Suite struct RedisCancelTests {
  @Test(arguments: [nil, "", "enough now", "a  b", "ünïcode \u{1F600}"] as [String?])
  func aWishComesThroughWhole(_ reason: String?) {
    let wish = RedisCancel(id: "run-1", token: "t", reason: reason)
    let read = RedisCancel(message: Array(wish.message.utf8))
    #expect(read.id == "run-1" && read.token == "t" && read.reason == reason)
  }

  @Test func rubbishIsNobodysWish() {
    #expect(RedisCancel(message: []).id == "")
    #expect(RedisCancel(message: [0xFF, 0x20, 0xFE]).reason == nil)
  }
}
