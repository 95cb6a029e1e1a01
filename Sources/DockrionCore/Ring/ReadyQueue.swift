import Synchronization

/// What can stand in a `ReadyQueue`: something that the loop must look at.
public protocol ReadyItem: AnyObject, Sendable {
  /// Lends the item's own link; nobody but the queue touches it.
  func withReadyLink<Result>(_ body: (borrowing ReadyLink) -> Result) -> Result
}

/// An item's place in a `ReadyQueue`.
public struct ReadyLink: ~Copyable, Sendable {
  fileprivate let announced = Atomic<Bool>(false)
  // The address of the item behind; the queue's head orders its writer and its reader.
  fileprivate let next = Atomic<UInt>(0)

  public init() {}
}

/// The items that have something for the loop, and the one wake-up that tells it.
///
/// An item is announced once, however often it is marked, until the consumer takes it. The wake-up is called once
/// for all marks between two `park`s, and not at all while the loop is awake. Both flags are cleared before the
/// consumer looks, so a mark that it misses announces again.
public final class ReadyQueue<Item: ReadyItem>: Sendable {
  private let head = Atomic<UInt>(0)
  private let parked = Atomic<Bool>(false)
  private let wake: @Sendable () -> Void

  /// - Parameter wake: makes a parked consumer look again; called on any thread.
  public init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// Says that the item has something. Safe on any thread.
  public func mark(_ item: Item) {
    // A fence between the caller's push and this read would not do: the exchange is the fence.
    let isNew = item.withReadyLink { link in
      guard !link.announced.exchange(true, ordering: .sequentiallyConsistent) else { return false }
      let address = retainedAddress(of: item)
      var top = head.load(ordering: .relaxed)
      while true {
        link.next.store(top, ordering: .relaxed)
        let (done, now) = head.weakCompareExchange(
          expected: top, desired: address, ordering: .sequentiallyConsistent)
        if done { return true }
        top = now
      }
    }
    if isNew { wakeIfParked() }
  }

  /// Wakes the consumer when it is parked, without an item.
  public func wakeIfParked() {
    if parked.load(ordering: .sequentiallyConsistent),
      parked.exchange(false, ordering: .sequentiallyConsistent)
    {
      wake()
    }
  }

  /// Says that the consumer is about to wait. False when it must not, because something is ready.
  public func park() -> Bool {
    parked.store(true, ordering: .sequentiallyConsistent)
    guard head.load(ordering: .sequentiallyConsistent) == 0 else {
      parked.store(false, ordering: .relaxed)
      return false
    }
    return true
  }

  /// Says that the consumer is awake: marks need no wake-up now.
  public func unpark() { parked.store(false, ordering: .relaxed) }

  /// Takes all announced items, oldest first. Each may be announced again from here on, so look into it now.
  public func takeAll(_ body: (Item) -> Void) {
    var taken = head.exchange(0, ordering: .sequentiallyConsistent)
    var reversed: UInt = 0
    while let pointer = UnsafeRawPointer(bitPattern: taken) {
      let address = taken
      taken = Unmanaged<Item>.fromOpaque(pointer).takeUnretainedValue().withReadyLink {
        let next = $0.next.load(ordering: .relaxed)
        $0.next.store(reversed, ordering: .relaxed)
        return next
      }
      reversed = address
    }
    while let pointer = UnsafeRawPointer(bitPattern: reversed) {
      let item = Unmanaged<Item>.fromOpaque(pointer).takeRetainedValue()
      reversed = item.withReadyLink {
        let next = $0.next.load(ordering: .relaxed)
        _ = $0.announced.exchange(false, ordering: .sequentiallyConsistent)
        return next
      }
      body(item)
    }
  }

  deinit { takeAll { _ in } }
}
