/// Finds out whether a peer has stopped to answer, from looks at its connection that are further apart than the
/// network's round trip.
///
/// A look comes before something is sent, and does not tell how long the bytes that are in flight have been: they may
/// have left a moment ago, after a long pause. But where one look found the same acknowledged as the look before,
/// what was sent behind the earlier one has been on its way ever since.
struct PeerSilence {
  /// What the kernel says of a connection.
  struct State {
    /// Bytes that the peer has acknowledged.
    var acknowledged: Int
    /// False when nothing waits for an acknowledgement: all has come, or the peer takes nothing for now. A peer that
    /// lives and does not read is for the stall timeout.
    var isInFlight: Bool
    /// How long ago the peer acknowledged anything, be it the same bytes again.
    var heard: Duration
  }

  private var last: (acknowledged: Int, at: Duration)?

  /// True when bytes that left at an earlier look or before have waited for `patience`, without a word of the peer.
  ///
  /// - Parameter now: the monotonic clock.
  mutating func look(_ state: State, at now: Duration, patience: Duration) -> Bool {
    guard state.isInFlight, let last, state.acknowledged == last.acknowledged else {
      last = (state.acknowledged, now)
      return false
    }
    return now - last.at >= patience && state.heard >= patience
  }
}
