import Glibc
import Synchronization

// Goals: many producers on any thread, one consumer on the loop; a bound; no lock; each producer's order kept;
// an idle ring is one allocation of a few hundred bytes. Non-goal: progress of the consumer past a producer that
// the kernel stopped between taking its place and filling it; that producer announces the ring again when it goes on.

/// A bounded lock-free queue from an agent's tasks to the loop.
///
/// Storage starts at 16 places and grows fourfold, up to `capacity`, when the consumer falls behind. A place is
/// one word: nil or a retained element. A producer takes a ticket by moving `tail` and then fills the place; the
/// consumer empties places in order of their tickets. When a segment is full and may grow, its `tail` is marked
/// closed; producers go on in the next segment, and the consumer follows once the closed one is empty, so the
/// order of each producer holds across segments. Segments live as long as the ring: nobody can hold a stale one.
/// Places all at once would be simpler, and 2.7 KB a waiting agent instead of 0.2: what is zeroed is touched.
public struct EventRing<Element: AnyObject & Sendable>: ~Copyable, Sendable {
  private let capacity: Int
  // Addresses of segments.
  private let first: UInt
  private let newest: Atomic<UInt>
  // Touched by the consumer alone.
  private let consuming: Atomic<UInt>

  /// - Parameter capacity: elements that may wait; rounded up to a power of two, at least 2.
  public init(capacity: Int) {
    let rounded = Self.powerOfTwo(atLeast: max(2, capacity))
    self.capacity = rounded
    first = Segment(capacity: min(rounded, 16)).address
    newest = Atomic(first)
    consuming = Atomic(first)
  }

  private static func powerOfTwo(atLeast value: Int) -> Int {
    var power = 2
    while power < value { power *= 2 }
    return power
  }

  /// Adds an element; false when the ring is full. Safe on any thread.
  public func push(_ element: Element) -> Bool {
    guard let place = takePlace() else { return false }
    place.fill(element)
    return true
  }

  /// A place that is taken; the consumer waits for it to be filled, which has to happen once.
  struct Place {
    fileprivate let word: UnsafeMutablePointer<Atomic<UInt>>

    @inline(__always)
    func fill(_ element: Element) {
      word.pointee.store(retainedAddress(of: element), ordering: .releasing)
    }
  }

  /// The first half of a push: nil when the ring is full.
  @inline(__always)
  func takePlace() -> Place? {
    var segment = Segment(address: newest.load(ordering: .acquiring))
    while true {
      switch segment.take(mayClose: segment.capacity < capacity) {
      case .taken(let place): return place
      case .full: return nil
      case .closed: segment = successor(of: segment)
      }
    }
  }

  private func successor(of segment: Segment) -> Segment {
    let next = segment.next ?? linkedSegment(behind: segment)
    // Forward only: a producer that was held up here would take the others back. Whoever passes a closed segment
    // moves on from it, so after a push that found no room `newest` is the last.
    _ = newest.compareExchange(
      expected: segment.address, desired: next.address, ordering: .acquiringAndReleasing)
    return next
  }

  private func linkedSegment(behind segment: Segment) -> Segment {
    let made = Segment(capacity: min(segment.capacity * 4, capacity))
    let next = segment.link(made)
    if next.address != made.address { made.free() }
    return next
  }

  /// Takes the oldest element; nil when none is ready. For the one consumer.
  public func pop() -> Element? {
    var segment = Segment(address: consuming.load(ordering: .relaxed))
    while true {
      if let element = segment.pop() { return element }
      guard segment.isClosedAndEmpty, let next = segment.next else { return nil }
      segment = next
      consuming.store(next.address, ordering: .relaxed)
    }
  }

  /// True when a push would fail now. Safe on any thread; the answer may be old when it arrives.
  public var isFull: Bool {
    let segment = Segment(address: newest.load(ordering: .acquiring))
    return segment.capacity == capacity && segment.isFull
  }

  deinit {
    while pop() != nil {}
    var segment: Segment? = Segment(address: first)
    while let current = segment {
      segment = current.next
      current.free()
    }
  }

  private enum Outcome {
    case taken(Place)
    case full, closed
  }

  private struct Header: ~Copyable {
    let capacity: Int
    let head = Atomic<Int>(0)
    let tail = Atomic<Int>(0)  // the next ticket; the sign bit says closed
    let next = Atomic<UInt>(0)  // the address of the segment that follows, or 0
  }

  /// One block of places, behind its header in one allocation. A place is an atomic word that carries one reference
  /// from the producer that filled it to the consumer that empties it.
  private struct Segment {
    private let header: UnsafeMutablePointer<Header>

    private static var closedBit: Int { Int.min }

    init(capacity: Int) {
      let bytes = MemoryLayout<Header>.stride + capacity * MemoryLayout<Atomic<UInt>>.stride
      guard let block = malloc(bytes) else { fatalError("no memory for \(bytes) bytes") }
      header = block.bindMemory(to: Header.self, capacity: 1)
      header.initialize(to: Header(capacity: capacity))
      let places = (block + MemoryLayout<Header>.stride).bindMemory(to: Atomic<UInt>.self, capacity: capacity)
      for index in 0..<capacity { (places + index).initialize(to: Atomic(0)) }
    }

    init(address: UInt) { header = UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped }

    var address: UInt { UInt(bitPattern: header) }
    var capacity: Int { header.pointee.capacity }

    private func place(_ ticket: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
      let places = (UnsafeMutableRawPointer(header) + MemoryLayout<Header>.stride)
        .assumingMemoryBound(to: Atomic<UInt>.self)
      return places + (ticket & (capacity - 1))
    }

    /// Frees the memory; atomic words need nothing else.
    func free() { Glibc.free(header) }

    var next: Segment? {
      let address = header.pointee.next.load(ordering: .acquiring)
      return address == 0 ? nil : Segment(address: address)
    }

    /// Links the segment unless there is a link already; returns the one that stands.
    func link(_ segment: Segment) -> Segment {
      let (isLinked, standing) = header.pointee.next.compareExchange(
        expected: 0, desired: segment.address, ordering: .acquiringAndReleasing)
      return isLinked ? segment : Segment(address: standing)
    }

    func take(mayClose: Bool) -> Outcome {
      var ticket = header.pointee.tail.load(ordering: .relaxed)
      while true {
        if ticket < 0 { return .closed }
        guard ticket - header.pointee.head.load(ordering: .acquiring) < capacity else {
          // The ticket may be stale; only a tail that has not moved since shows a full segment.
          let seen = header.pointee.tail.load(ordering: .acquiring)
          if seen != ticket {
            ticket = seen
            continue
          }
          guard mayClose else { return .full }
          let (closed, now) = header.pointee.tail.compareExchange(
            expected: ticket, desired: ticket | Self.closedBit, ordering: .acquiringAndReleasing)
          if closed { return .closed }
          ticket = now
          continue
        }
        let (taken, now) = header.pointee.tail.weakCompareExchange(
          expected: ticket, desired: ticket + 1, ordering: .acquiringAndReleasing)
        if taken { return .taken(Place(word: place(ticket))) }
        ticket = now
      }
    }

    func pop() -> Element? {
      let ticket = header.pointee.head.load(ordering: .relaxed)
      let place = place(ticket)
      let word = place.pointee.load(ordering: .acquiring)
      guard let pointer = UnsafeRawPointer(bitPattern: word) else { return nil }
      place.pointee.store(0, ordering: .relaxed)
      header.pointee.head.store(ticket + 1, ordering: .releasing)
      return Unmanaged<Element>.fromOpaque(pointer).takeRetainedValue()
    }

    var isFull: Bool {
      let taken = header.pointee.head.load(ordering: .sequentiallyConsistent)
      return header.pointee.tail.load(ordering: .sequentiallyConsistent) - taken >= capacity
    }

    var isClosedAndEmpty: Bool {
      let end = header.pointee.tail.load(ordering: .acquiring)
      return end < 0 && end & ~Self.closedBit == header.pointee.head.load(ordering: .relaxed)
    }
  }
}
