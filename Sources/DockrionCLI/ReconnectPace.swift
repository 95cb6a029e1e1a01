import DockrionCore

/// When a follower may connect again: never more than five times a second, whatever a server says or does.
///
/// After a connection that broke it waits as long as the server's `retry:` says, twice as long after each one more, to
/// a bound; after one that the server ended in order, not at all. While connections bring nothing new, both wait longer
/// each time, up to `Limits.reconnectMillisecondsMax` at least.
struct ReconnectPace {
  /// What doubling a server's `retry:` leads to at most.
  static let backoffMillisecondsMax = 30_000

  private let now: () -> Int64
  private var began: Int64 = 0
  /// Connections in a row that brought nothing new, and of those the ones that broke.
  private var (fruitless, broken) = (0, 0)

  /// - Parameter now: a clock that never goes back, in nanoseconds.
  init(now: @escaping () -> Int64 = Clock.monotonicNanoseconds) { self.now = now }

  /// A connection is made now.
  mutating func begin() { began = now() }

  /// The connection is over.
  ///
  /// - Parameters:
  ///   - hasLearned: it brought an event that was not there before.
  ///   - retryMilliseconds: the server's `retry:`, where the connection broke.
  /// - Returns: milliseconds to wait.
  mutating func next(hasLearned: Bool, retryMilliseconds: Int? = nil) -> Int {
    if hasLearned { (fruitless, broken) = (0, 0) }
    var delay = 0
    if let retryMilliseconds {
      let first = min(max(retryMilliseconds, 1), Self.backoffMillisecondsMax)
      delay = min(first << min(broken, 15), Self.backoffMillisecondsMax)
      broken += 1
    }
    if !hasLearned {
      let least = Limits.reconnectMillisecondsMin << min(fruitless, 15)
      delay = max(delay, min(least, Limits.reconnectMillisecondsMax))
      fruitless += 1
    }
    let passed = Int((now() - began) / 1_000_000)
    return max(delay, Limits.reconnectMillisecondsMin - passed)
  }
}
