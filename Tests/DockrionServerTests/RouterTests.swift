import Testing

@testable import DockrionServer

@Suite struct QueryTests {
  @Test func startingPointsFollowTheProtocol() {
    #expect(Subscription.start(fromSequence: nil, lastEventID: nil) == 1)
    #expect(Subscription.start(fromSequence: 5, lastEventID: nil) == 5)
    #expect(Subscription.start(fromSequence: nil, lastEventID: 5) == 6)
    #expect(Subscription.start(fromSequence: 5, lastEventID: 4) == 5)
    #expect(Subscription.start(fromSequence: 5, lastEventID: 5) == 6)
    #expect(Subscription.start(fromSequence: 5, lastEventID: 9) == 10)
  }

  @Test func queriesAreDecoded() {
    let query = Query("a=1&b=x%20y+z&c&=d&a=2&e=%C3%A9&g=%C3%A9%4")
    #expect(query["a"] == "1")
    #expect(query["b"] == "x y z")
    #expect(query["c"] == "")
    #expect(query["e"] == "é")
    #expect(query["f"] == nil)
    #expect(query["g"] == "%C3%A9%4", "what cannot be decoded is left alone, to be shown")
  }

  @Test func decodingIsExactOrNil() {
    #expect(Query.decode("a%20b+c", plus: true) == "a b c")
    #expect(Query.decode("a+b%2B") == "a+b+")
    #expect(Query.decode("%C3%A4%c3%a4") == "ää")
    for text in ["%", "%4", "%zz", "%C3", "%ff", "a%"] { #expect(Query.decode(text) == nil, "\(text)") }
  }

  @Test func idsAreWhatTheProtocolAllows() {
    for id in ["a", "0", "A-b_c", String(repeating: "x", count: 128)] { #expect(id.isClientID) }
    for id in ["", "-a", "_a", "a b", "a/b", "é", "a\n", String(repeating: "x", count: 129)] {
      #expect(!id.isClientID)
    }
  }
}
