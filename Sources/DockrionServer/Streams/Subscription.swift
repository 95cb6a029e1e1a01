import DockrionCore

/// What a subscription's request says, apart from any connection.
enum Subscription {
  /// The sequence in a `Last-Event-ID`; nil for what this server did not give. One beyond all numbers is beyond any end.
  static func lastSeen(_ text: String) -> Int? {
    if let number = Int(text) { return max(0, min(number, Int.max - 1)) }
    return !text.isEmpty && text.utf8.allSatisfy(ASCII.isDigit) ? Int.max - 1 : nil
  }

  /// Where a subscription begins.
  struct Start {
    /// The first sequence to deliver.
    let cursor: Int
    /// True when the client names an event that it has had.
    let isResumed: Bool

    init(fromSequence: Int?, lastEventID: Int?) {
      cursor = Subscription.start(fromSequence: fromSequence, lastEventID: lastEventID)
      isResumed = lastEventID.map { $0 >= fromSequence ?? 0 } ?? false
    }
  }

  /// The first sequence to deliver. A browser repeats its query when it reconnects, so a later event id wins.
  static func start(fromSequence: Int?, lastEventID: Int?) -> Int {
    switch (fromSequence, lastEventID) {
    case (let from?, let last?): last >= from ? last + 1 : from
    case (let from?, nil): from
    case (nil, let last?): last + 1
    case (nil, nil): 1
    }
  }

  /// `?events=`: a preset or words separated by commas.
  static func filter(_ text: String) throws(ErrorReply) -> EventsFilter {
    if let preset = EventsFilter(preset: text) { return preset }
    do {
      let words = text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
      return try EventsFilter(words: words.map(String.init))
    } catch {
      throw ErrorReply(400, "VALIDATION_ERROR", "events: \(error)")
    }
  }

  /// True when a run has ended and nothing is left to deliver.
  static func isOver(_ feed: RunFeed, from start: Start, _ filter: EventsFilter?) -> Bool {
    guard feed.isFinal else { return false }
    let cursor = max(1, start.cursor)
    // Redis may have lost what the client has had, and the end with it.
    if start.isResumed, cursor > feed.lastSequence + 1 { return false }
    if cursor > feed.lastSequence { return true }
    guard let filter, cursor >= feed.log.firstSequence else { return false }
    return !feed.log.hasEvent(from: cursor, passing: filter)
  }
}
