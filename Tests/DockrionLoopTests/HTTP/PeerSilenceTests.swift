import Testing

@testable import DockrionLoop

@Suite struct PeerSilenceTests {
  private static let patience = Duration.seconds(5)

  /// Looks at the given seconds; returns those at which the peer counted as silent.
  private func silentAt(
    _ looks: [(at: Double, acknowledged: Int, inFlight: Bool, heard: Double)]
  ) -> [Double] {
    var silence = PeerSilence()
    return looks.filter { look in
      silence.look(
        PeerSilence.State(
          acknowledged: look.acknowledged, isInFlight: look.inFlight, heard: .seconds(look.heard)),
        at: .seconds(look.at), patience: Self.patience)
    }.map(\.at)
  }

  @Test func whatLeftAMomentAgoAfterALongPauseIsNoSilence() {
    #expect(silentAt([(5, 100, false, 4), (10, 200, true, 9.999), (15, 300, true, 5)]) == [])
    #expect(silentAt([(5, 100, true, 5)]) == [])
  }

  @Test func whatWasOnItsWayAtTheLastLookAndStillIsCounts() {
    #expect(silentAt([(5, 100, false, 4), (10, 100, true, 9)]) == [10])
    #expect(silentAt([(5, 100, true, 4), (9.9, 100, true, 8.9), (10, 100, true, 9)]) == [10])
  }

  @Test func aLateAcknowledgementBeginsAnew() {
    #expect(
      silentAt([(5, 100, false, 4), (10, 101, true, 0.1), (14, 101, true, 4.1), (15, 101, true, 5.1)]) == [15]
    )
  }

  @Test func aPeerThatAnswersAndTakesNothingIsNotSilent() {
    #expect(silentAt([(5, 100, true, 4), (10, 100, true, 0.5), (15, 100, true, 0.5)]) == [])
    #expect(silentAt([(5, 100, false, 4), (10, 100, false, 60), (15, 100, false, 60)]) == [])
  }
}
