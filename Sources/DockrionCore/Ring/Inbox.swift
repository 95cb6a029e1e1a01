import Glibc
import Synchronization

/// Something that another thread hands to the loop.
///
/// `@unchecked Sendable`: the compiler checks no class that others inherit from. The words here are atomic; what a subclass
/// adds must be constant, or Sendable by itself.
open class LoopItem: @unchecked Sendable {
  fileprivate let announced = Atomic<Bool>(false)
  // The address of the item behind; the inbox's head orders its writer and its reader.
  fileprivate let next = Atomic<UInt>(0)

  public init() {}

  /// Does what the loop is to do about it; on the loop, once for each time that it was taken from the inbox.
  open func onLoop() {}
}

/// A function of the loop's that items carry with them from thread to thread.
///
/// `@unchecked Sendable`: only the thread that made it may call it, which every call checks.
public struct LoopHandler<Item>: @unchecked Sendable {
  private let thread = pthread_self()
  private let body: (Item) -> Void

  public init(_ body: @escaping (Item) -> Void) { self.body = body }

  public func callAsFunction(_ item: Item) {
    precondition(pthread_equal(thread, pthread_self()) != 0, "a handler of the loop's was called elsewhere")
    body(item)
  }
}

/// Everything that other threads hand to the loop, and the one wake-up that tells it.
///
/// An item is announced once, however often it is marked, until the loop takes it. The wake-up is called once
/// for all marks between two `park`s, and not at all while the loop is awake. Both flags are cleared before the
/// loop looks, so a mark that it misses announces again.
public final class Inbox: Sendable {
  private let head = Atomic<UInt>(0)
  private let parked = Atomic<Bool>(false)
  private let wake: @Sendable () -> Void

  /// - Parameter wake: makes a parked loop look again; called on any thread.
  public init(wake: @escaping @Sendable () -> Void) { self.wake = wake }

  /// Says that the loop must look at the item. Safe on any thread.
  public func mark(_ item: LoopItem) {
    // A fence between the caller's push and this read would not do: the exchange is the fence.
    guard !item.announced.exchange(true, ordering: .sequentiallyConsistent) else { return }
    let address = retainedAddress(of: item)
    var top = head.load(ordering: .relaxed)
    while true {
      item.next.store(top, ordering: .relaxed)
      let (done, now) = head.weakCompareExchange(
        expected: top, desired: address, ordering: .sequentiallyConsistent)
      if done { break }
      top = now
    }
    wakeIfParked()
  }

  /// Wakes the loop when it is parked, without an item.
  public func wakeIfParked() {
    if parked.load(ordering: .sequentiallyConsistent),
      parked.exchange(false, ordering: .sequentiallyConsistent)
    {
      wake()
    }
  }

  /// Says that the loop is about to wait. False when it must not, because something is there.
  public func park() -> Bool {
    parked.store(true, ordering: .sequentiallyConsistent)
    guard head.load(ordering: .sequentiallyConsistent) == 0 else {
      parked.store(false, ordering: .relaxed)
      return false
    }
    return true
  }

  /// Says that the loop is awake: marks need no wake-up now.
  public func unpark() { parked.store(false, ordering: .relaxed) }

  /// Takes all items, oldest first, and calls `onLoop` of each. Each may be announced again from here on.
  public func takeAll() { takeAll { $0.onLoop() } }

  /// Takes all items, oldest first, for somebody else to look into.
  package func takeAll(_ body: (LoopItem) -> Void) {
    var taken = head.exchange(0, ordering: .sequentiallyConsistent)
    var reversed: UInt = 0
    while let pointer = UnsafeRawPointer(bitPattern: taken) {
      let item = Unmanaged<LoopItem>.fromOpaque(pointer).takeUnretainedValue()
      let address = taken
      taken = item.next.load(ordering: .relaxed)
      item.next.store(reversed, ordering: .relaxed)
      reversed = address
    }
    while let pointer = UnsafeRawPointer(bitPattern: reversed) {
      let item = Unmanaged<LoopItem>.fromOpaque(pointer).takeRetainedValue()
      reversed = item.next.load(ordering: .relaxed)
      _ = item.announced.exchange(false, ordering: .sequentiallyConsistent)
      body(item)
    }
  }

  deinit { takeAll { _ in } }
}
