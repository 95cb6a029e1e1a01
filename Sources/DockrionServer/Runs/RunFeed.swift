import DockrionCore

/// Somebody who reads a run's log as it grows.
protocol FeedReader: AnyObject {
  /// Takes what has come; it may leave the feed meanwhile.
  func pump()
}

/// A run's log and those who read it. Whether an agent here or another server fills it, subscribers cannot tell.
final class RunFeed {
  let id: String
  let log: RunLog
  private(set) var subscribers: [any FeedReader] = []
  /// True once the terminal event stands and may be read.
  private(set) var isFinal = false
  /// True while the newest event may not be read yet.
  var withholdsLast = false
  /// True once events that subscribers may have had were taken back, since Redis did not get them.
  private(set) var isRewound = false
  /// While it is not known whether the run is still ours: nothing behind this sequence is shown.
  var shownThrough: Int?
  /// Told when the last subscriber has left.
  var onEmpty: () -> Void = {}

  init(id: String, eventsMax: Int) {
    self.id = id
    log = RunLog(eventsMax: eventsMax)
  }

  /// The sequence of the newest event that may be read; 0 before the first.
  var lastSequence: Int {
    let last = withholdsLast ? log.lastSequence - 1 : log.lastSequence
    return shownThrough.map { min($0, last) } ?? last
  }

  /// Sends every subscriber what it lacks.
  func flush() {
    var index = 0
    // A subscriber that ends takes itself out, and the next one takes its place.
    while index < subscribers.count {
      let subscriber = subscribers[index]
      subscriber.pump()
      if index < subscribers.count, subscribers[index] === subscriber { index += 1 }
    }
  }

  /// Says that the newest event is the terminal one and may be read.
  func finish() {
    withholdsLast = false
    shownThrough = nil
    isFinal = true
  }

  /// Takes back what is not stored: the events behind `sequence`.
  func rewind(to sequence: Int) {
    withholdsLast = false
    shownThrough = nil
    isRewound = true
    log.truncate(after: sequence)
  }

  /// The run is not kept any more: its subscribers are told so, since every stream has an end.
  func vanish(_ message: String = "Redis does not have this run any more") {
    guard !isFinal else { return }
    withholdsLast = false
    shownThrough = nil
    let failure = AgentError(code: "BACKEND_UNAVAILABLE", message: message)
    log.append(EventEncoder(identity: .run(id)).failureRecord(failure, ended: false))
    finish()
    flush()
  }

  func add(_ subscriber: any FeedReader) { subscribers.append(subscriber) }

  func remove(_ subscriber: any FeedReader) {
    guard let index = subscribers.firstIndex(where: { $0 === subscriber }) else { return }
    subscribers.remove(at: index)
    if subscribers.isEmpty { onEmpty() }
  }
}
