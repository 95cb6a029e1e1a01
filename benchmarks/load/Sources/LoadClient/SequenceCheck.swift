/// Says whether the events of one run or request come whole: 1, 2, 3 … without a hole, each once, in order, the
/// terminal one last. It lasts over reconnects of the same client.
public struct SequenceCheck: Sendable {
  /// The sequence of the last event that was taken.
  public private(set) var last = 0
  public private(set) var tokens = 0
  public private(set) var isOver = false
  /// The first thing that was wrong.
  public private(set) var violation: String?
  private let countsTokens: Bool

  /// - Parameter countsTokens: the stream is the `scripted` agent's without `emit`, so that token N is number N+2.
  public init(countsTokens: Bool = true) { self.countsTokens = countsTokens }

  public mutating func take(_ event: Event) {
    guard violation == nil else { return }
    if event.kind == .heartbeat || event.kind == .timeout { return }
    if event.kind == .gap {
      violation = "a gap after event \(last)"
      return
    }
    if isOver {
      violation = "an event after the terminal one"
      return
    }
    guard let sequence = event.sequence else {
      violation = "an event without sequence after \(last)"
      return
    }
    if sequence <= last {
      violation = "event \(sequence) again or late, after \(last)"
      return
    }
    if sequence > last + 1 {
      violation = "lost: events \(last + 1)…\(sequence - 1)"
      return
    }
    if let id = event.id, id != sequence {
      violation = "id \(id) on event \(sequence)"
      return
    }
    if countsTokens, case .number(let number)? = event.content, number != sequence - 2 {
      violation = "event \(sequence) holds token \(number)"
      return
    }
    last = sequence
    if event.kind == .token { tokens += 1 }
    if event.kind == .terminal { isOver = true }
  }

  /// What is wrong with a stream that has ended, of which `tokens` were expected.
  public func fault(tokens expected: Int) -> String? {
    if let violation { return violation }
    if !isOver { return "no terminal event after event \(last)" }
    return tokens == expected ? nil : "\(tokens) tokens instead of \(expected)"
  }
}
