/// How far a run has been written to Redis, and what to do with each answer. A pure value.
///
/// One write is under way at a time; what comes meanwhile goes with the next one. A write says which event must be
/// the last stored one, so a repeated one changes nothing, and after a loss of Redis' own the answer tells from
/// where to write again.
///
///     var cursor = JournalCursor()
///     cursor.begin(through: 7, end: nil)                  // a write of 1…7 goes out
///     cursor.answered(.done, last: 9, end: nil)           // .goOn: 8 and 9 are next
struct JournalCursor {
  enum Answer: Equatable {
    case done
    /// Nothing was written: that is the last stored event.
    case at(Int)
    /// The run has an end already, with this sequence and status.
    case final(Int, String)
    /// Somebody else owns the run.
    case fenced
    /// There is no such run.
    case gone
    /// Nobody knows whether it was written.
    case lost
  }

  enum Action: Equatable {
    /// Write what is left, if there is any.
    case goOn
    /// The end is stored.
    case settled
    /// Make the record again and write everything that is left here.
    case rebuild
    /// The run is somebody else's.
    case disown
    /// Wait until the connection is back.
    case wait
  }

  /// How often a record that has vanished is made again.
  static let rebuildsMax = 3

  /// The last event that is known to be stored.
  private(set) var stored = 0
  private(set) var isUnderWay = false
  private(set) var isSettled = false
  private var through = 0
  private var rebuilds = 0
  private var endStatus: String?

  /// A write of everything up to `through` goes out; `end` is the final status when the terminal event is in it.
  mutating func begin(through: Int, end: String?) {
    precondition(!isUnderWay, "one write at a time")
    isUnderWay = true
    self.through = through
    endStatus = end
  }

  /// - Parameters:
  ///   - last: the newest event that the run has now.
  ///   - end: the run's final status, once it has one.
  mutating func answered(_ answer: Answer, last: Int, end: String?) -> Action {
    isUnderWay = false
    switch answer {
    case .done:
      stored = max(stored, through)
      if endStatus != nil { isSettled = true }
      return endStatus != nil ? .settled : .goOn
    case .at(let sequence) where sequence <= last:
      stored = sequence
      isSettled = false
      return .goOn
    case .final(let sequence, let status) where sequence == last && status == end:
      // An earlier write whose answer was lost.
      stored = sequence
      isSettled = true
      return .settled
    case .gone where rebuilds < Self.rebuildsMax:
      rebuilds += 1
      stored = 0
      isSettled = false
      return .rebuild
    case .lost: return .wait
    case .final(let sequence, _):
      // What stands at the end's place and behind it is known here alone.
      stored = max(0, min(stored, sequence - 1))
      return .disown
    case .at, .fenced, .gone: return .disown
    }
  }
}
