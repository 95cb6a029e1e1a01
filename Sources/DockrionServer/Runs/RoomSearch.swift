import DockrionCore

/// Takes events from runs that do not grow, where the one that does has none left to give up.
///
/// A search looks at all runs. It frees a sixteenth of the bound beyond what is needed, so that the next one comes after
/// as many bytes; one that finds too little is not repeated for a tenth of a second, unless Redis has taken as many.
struct RoomSearch {
  /// Bytes that Redis has taken since the last search: their events may go now.
  var settledBytes = 0
  private var nextAt: Int64 = 0

  /// Halves the logs of all runs until enough is free or nothing can be given up any more.
  ///
  /// - Parameters:
  ///   - runs: every run whose events may go; asked for when the search is made.
  ///   - isEnough: true when so many bytes are free.
  mutating func free(
    _ limit: Int, now: Int64, runs: () -> [Run], isEnough: (_ slack: Int) -> Bool
  ) {
    guard now >= nextAt || settledBytes > limit / 16 else { return }
    settledBytes = 0
    let runs = runs()
    var isFruitful = true
    while isFruitful {
      isFruitful = false
      for run in runs {
        if run.dropOlderHalf() { isFruitful = true }
        if isEnough(limit / 16) { return }
      }
    }
    nextAt = now + 100_000_000
  }
}
