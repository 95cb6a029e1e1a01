import Glibc

/// What has been read of arrays or objects that are not complete.
///
/// Elements are moved as bytes, as all of Swift's are that no weak reference is part of.
struct PendingStack<Element>: ~Copyable {
  private var start: UnsafeMutablePointer<Element>
  private var capacity = 0
  private(set) var count = 0

  init() { start = UnsafeMutablePointer(bitPattern: MemoryLayout<Element>.alignment).unsafelyUnwrapped }

  deinit {
    start.deinitialize(count: count)
    if capacity > 0 { free(start) }
  }

  subscript(place: Int) -> Element {
    @inline(__always) _read { yield start[place] }
    @inline(__always) _modify { yield &start[place] }
  }

  /// Where the last one stands.
  @inline(__always)
  var last: UnsafeMutablePointer<Element> { start + (count - 1) }

  @inline(__always)
  mutating func push(_ element: consuming Element) {
    if count == capacity { grow() }
    (start + count).initialize(to: element)
    count += 1
  }

  /// Forgets the last one.
  @inline(__always)
  mutating func drop() {
    count -= 1
    (start + count).deinitialize(count: 1)
  }

  @inline(never)
  private mutating func grow() {
    let larger = max(16, capacity < 1024 ? capacity * 4 : capacity * 2)
    let bytes = larger * MemoryLayout<Element>.stride
    guard let memory = realloc(capacity > 0 ? UnsafeMutableRawPointer(start) : nil, bytes) else {
      fatalError("no memory for \(bytes) bytes")
    }
    start = memory.bindMemory(to: Element.self, capacity: larger)
    capacity = larger
  }

  // Bytes that are moved at once. Less is not worth a call of the system.
  private static var blockBytes: Int { 1 << 18 }

  /// Moves everything from `place` on to where `target` begins, and says how many there were.
  ///
  /// Of much, the end goes first, and memory that was left is given back at once: what is large is not there twice.
  mutating func move(from place: Int, to target: UnsafeMutablePointer<Element>) -> Int {
    let moved = count - place
    let block = Self.blockBytes / MemoryLayout<Element>.stride
    while count - place > 2 * block {
      count -= block
      (target + (count - place)).moveInitialize(from: start + count, count: block)
      let pages = UInt(4096)
      let first = (UInt(bitPattern: start + count) + pages - 1) & ~(pages - 1)
      let end = UInt(bitPattern: start + (count + block)) & ~(pages - 1)
      // Larger pages make it an error, and the memory stays until the stack goes.
      _ = madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED)
    }
    target.moveInitialize(from: start + place, count: count - place)
    count = place
    return moved
  }

  /// Gives away everything from `place` on; whoever takes it moves it elsewhere before the next push.
  @inline(__always)
  mutating func pop(from place: Int) -> UnsafeMutableBufferPointer<Element> {
    let given = UnsafeMutableBufferPointer(start: start + place, count: count - place)
    count = place
    return given
  }
}
