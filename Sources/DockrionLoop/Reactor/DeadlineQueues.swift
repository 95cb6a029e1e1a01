/// Something that wants to hear when a time has passed.
public protocol DeadlineTarget: AnyObject {
  /// The deadline that was set with this tag has passed; it is no longer set.
  func deadlinePassed(_ tag: UInt8)
}

/// Deadlines of one loop: one ordered queue for each delay that is in use.
///
/// Deadlines with the same delay pass in the order in which they were set, so setting, moving and clearing one are
/// a few writes, however many there are. Times are `CLOCK_MONOTONIC` nanoseconds. Not `Sendable`.
public final class DeadlineQueues {
  /// A deadline that is set; forgotten ones are harmless.
  public struct Token: Equatable {
    fileprivate let node: Int32
    fileprivate let generation: UInt32
  }

  private struct Node {
    var previous: Int32
    var next: Int32
    var queue: Int32
    var generation: UInt32 = 0
    var tag: UInt8 = 0
    var deadline: Int64 = 0
    var target: (any DeadlineTarget)?
  }

  // Nodes 0…queues-1 of `heads` would be one more kind of node; a queue is a sentinel in the same array instead.
  private var nodes: [Node] = []
  private var free: [Int32] = []
  private var queues: [(delay: Int64, sentinel: Int32, place: Int)] = []
  // The queues that hold a deadline: clients can ask for thousands of delays, and most are empty most of the time.
  private var busy: [Int32] = []
  private var queueOfDelay: [Int64: Int32] = [:]

  public init() {}

  /// How many deadlines are set.
  public private(set) var count = 0

  /// Sets a deadline `delay` nanoseconds after `now`.
  public func set(after delay: Int64, now: Int64, _ target: any DeadlineTarget, tag: UInt8 = 0) -> Token {
    let queue = queueIndex(delay)
    let node = makeNode()
    nodes[Int(node)].queue = queue
    nodes[Int(node)].tag = tag
    nodes[Int(node)].target = target
    append(node, now + delay)
    count += 1
    return Token(node: node, generation: nodes[Int(node)].generation)
  }

  /// Starts a deadline's delay anew.
  public func renew(_ token: Token, now: Int64) {
    guard isSet(token) else { return }
    unlink(token.node)
    append(token.node, now + queues[Int(nodes[Int(token.node)].queue)].delay)
  }

  /// Gives a deadline to another target, at the same moment; false when it is no longer set.
  public func hand(_ token: Token, to target: any DeadlineTarget, tag: UInt8 = 0) -> Bool {
    guard isSet(token) else { return false }
    nodes[Int(token.node)].target = target
    nodes[Int(token.node)].tag = tag
    return true
  }

  /// Clears a deadline; one that has passed or was cleared stays so.
  public func clear(_ token: Token?) {
    guard let token, isSet(token) else { return }
    unlink(token.node)
    release(token.node)
  }

  /// Tells the targets of all deadlines up to `now`. They may set, renew and clear any deadline.
  public func pass(now: Int64) {
    for queue in busy {
      let sentinel = queues[Int(queue)].sentinel
      while true {
        let first = nodes[Int(sentinel)].next
        guard first != sentinel, nodes[Int(first)].deadline <= now else { break }
        let target = nodes[Int(first)].target
        let tag = nodes[Int(first)].tag
        unlink(first)
        release(first)
        target?.deadlinePassed(tag)
      }
    }
  }

  /// The earliest deadline; nil when none is set.
  public var earliest: Int64? {
    var earliest: Int64?
    for queue in busy {
      let first = nodes[Int(queues[Int(queue)].sentinel)].next
      earliest = min(earliest ?? .max, nodes[Int(first)].deadline)
    }
    return earliest
  }

  /// False once the deadline has passed or was cleared.
  public func isSet(_ token: Token) -> Bool {
    let node = nodes[Int(token.node)]
    return node.generation == token.generation && node.target != nil
  }

  private func queueIndex(_ delay: Int64) -> Int32 {
    if let known = queueOfDelay[delay] { return known }
    let sentinel = makeNode()
    nodes[Int(sentinel)].previous = sentinel
    nodes[Int(sentinel)].next = sentinel
    let index = Int32(queues.count)
    queues.append((delay, sentinel, -1))
    queueOfDelay[delay] = index
    return index
  }

  private func makeNode() -> Int32 {
    if let node = free.popLast() { return node }
    nodes.append(Node(previous: -1, next: -1, queue: -1))
    return Int32(nodes.count - 1)
  }

  private func append(_ node: Int32, _ deadline: Int64) {
    let queue = nodes[Int(node)].queue
    let sentinel = queues[Int(queue)].sentinel
    if nodes[Int(sentinel)].next == sentinel {
      queues[Int(queue)].place = busy.count
      busy.append(queue)
    }
    let last = nodes[Int(sentinel)].previous
    nodes[Int(node)].deadline = deadline
    nodes[Int(node)].previous = last
    nodes[Int(node)].next = sentinel
    nodes[Int(last)].next = node
    nodes[Int(sentinel)].previous = node
  }

  private func unlink(_ node: Int32) {
    let (previous, next) = (nodes[Int(node)].previous, nodes[Int(node)].next)
    nodes[Int(previous)].next = next
    nodes[Int(next)].previous = previous
    guard previous == next else { return }
    let queue = Int(nodes[Int(node)].queue)
    let last = busy.removeLast()
    if Int(last) != queue {
      busy[queues[queue].place] = last
      queues[Int(last)].place = queues[queue].place
    }
  }

  private func release(_ node: Int32) {
    nodes[Int(node)].target = nil
    nodes[Int(node)].generation &+= 1
    free.append(node)
    count -= 1
  }
}
