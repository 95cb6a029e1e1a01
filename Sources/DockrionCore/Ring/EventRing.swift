import Synchronization

// Goals: many producers on any thread, one consumer on the loop; a bound; no lock; each producer's order kept;
// an idle ring costs a few hundred bytes. Non-goal: progress of the consumer past a producer that the kernel
// stopped between taking its place and filling it; that producer announces the ring again when it goes on.

/// A bounded lock-free queue from an agent's tasks to the loop.
///
/// Storage starts at 16 places and grows fourfold, up to `capacity`, when the consumer falls behind. A place is
/// one word: nil or a retained element. A producer takes a ticket by moving `tail` and then fills the place; the
/// consumer empties places in order of their tickets. When a segment is full and may grow, its `tail` is marked
/// closed; producers go on in the next segment, and the consumer follows once the closed one is empty, so the
/// order of each producer holds across segments. Segments live as long as the ring: nobody can hold a stale one.
///
/// `@unchecked Sendable`: the one plain variable, `consuming`, is touched by `pop` alone, which the one consumer calls.
public final class EventRing<Element: AnyObject & Sendable>: @unchecked Sendable {
  private let capacity: Int
  private let newest: Atomic<UnsafeMutableRawPointer>
  private let first: Segment
  private var consuming: Segment  // touched by the consumer alone

  /// - Parameter capacity: elements that may wait; rounded up to a power of two, at least 2.
  public init(capacity: Int) {
    let rounded = Self.powerOfTwo(atLeast: max(2, capacity))
    self.capacity = rounded
    first = Segment(capacity: min(rounded, 16))
    consuming = first
    newest = Atomic(Unmanaged.passUnretained(first).toOpaque())
  }

  private static func powerOfTwo(atLeast value: Int) -> Int {
    var power = 2
    while power < value { power *= 2 }
    return power
  }

  /// Adds an element; false when the ring is full. Safe on any thread.
  public func push(_ element: Element) -> Bool {
    var segment = Unmanaged<Segment>.fromOpaque(newest.load(ordering: .acquiring)).takeUnretainedValue()
    while true {
      switch segment.push(element, mayClose: segment.capacity < capacity) {
      case .pushed: return true
      case .full: return false
      case .closed: segment = successor(of: segment)
      }
    }
  }

  private func successor(of segment: Segment) -> Segment {
    if let next = segment.next { return next }
    let made = Segment(capacity: min(segment.capacity * 4, capacity))
    let next = segment.link(made)
    // Only a hint for producers: one that still sees the old segment finds it closed and follows its link.
    newest.store(Unmanaged.passUnretained(next).toOpaque(), ordering: .releasing)
    return next
  }

  /// Takes the oldest element; nil when none is ready. For the one consumer.
  public func pop() -> Element? {
    while true {
      if let element = consuming.pop() { return element }
      guard consuming.isClosedAndEmpty, let next = consuming.next else { return nil }
      consuming = next
    }
  }

  /// True when a push would fail now. Safe on any thread; the answer may be old when it arrives.
  public var isFull: Bool {
    let segment = Unmanaged<Segment>.fromOpaque(newest.load(ordering: .acquiring)).takeUnretainedValue()
    return segment.capacity == capacity && segment.isFull
  }

  deinit {
    while pop() != nil {}
  }

  private enum Outcome { case pushed, full, closed }

  /// One block of places. `@unchecked Sendable`: `places` never changes, each place is an atomic word that
  /// carries one reference from the producer that filled it to the consumer that empties it.
  private final class Segment: @unchecked Sendable {
    let capacity: Int
    private let mask: Int
    private let places: UnsafeMutablePointer<Atomic<UInt>>
    private let head = Atomic<Int>(0)
    private let tail = Atomic<Int>(0)  // the next ticket; the sign bit says closed
    private let link = AtomicLazyReference<Segment>()

    private static var closedBit: Int { Int.min }

    init(capacity: Int) {
      self.capacity = capacity
      mask = capacity - 1
      places = .allocate(capacity: capacity)
      for index in 0..<capacity { (places + index).initialize(to: Atomic(0)) }
    }

    deinit {
      places.deinitialize(count: capacity)
      places.deallocate()
    }

    var next: Segment? { link.load() }

    func link(_ segment: Segment) -> Segment { link.storeIfNil(segment) }

    func push(_ element: Element, mayClose: Bool) -> Outcome {
      var ticket = tail.load(ordering: .relaxed)
      while true {
        if ticket < 0 { return .closed }
        guard ticket - head.load(ordering: .acquiring) < capacity else {
          // The ticket may be stale; only a tail that has not moved since shows a full segment.
          let seen = tail.load(ordering: .acquiring)
          if seen != ticket {
            ticket = seen
            continue
          }
          guard mayClose else { return .full }
          let (closed, now) = tail.compareExchange(
            expected: ticket, desired: ticket | Self.closedBit, ordering: .acquiringAndReleasing)
          if closed { return .closed }
          ticket = now
          continue
        }
        let (taken, now) = tail.weakCompareExchange(
          expected: ticket, desired: ticket + 1, ordering: .acquiringAndReleasing)
        if taken { break }
        ticket = now
      }
      let word = UInt(bitPattern: Unmanaged.passRetained(element).toOpaque())
      places[ticket & mask].store(word, ordering: .releasing)
      return .pushed
    }

    func pop() -> Element? {
      let ticket = head.load(ordering: .relaxed)
      let word = places[ticket & mask].load(ordering: .acquiring)
      guard let pointer = UnsafeRawPointer(bitPattern: word) else { return nil }
      places[ticket & mask].store(0, ordering: .relaxed)
      head.store(ticket + 1, ordering: .releasing)
      return Unmanaged<Element>.fromOpaque(pointer).takeRetainedValue()
    }

    var isFull: Bool {
      let taken = head.load(ordering: .sequentiallyConsistent)
      return tail.load(ordering: .sequentiallyConsistent) - taken >= capacity
    }

    var isClosedAndEmpty: Bool {
      let end = tail.load(ordering: .acquiring)
      return end < 0 && end & ~Self.closedBit == head.load(ordering: .relaxed)
    }
  }
}
