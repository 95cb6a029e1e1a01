/// What has been read of arrays or objects that are not complete.
struct PendingStack<Element>: ~Copyable {
  private var start: UnsafeMutablePointer<Element>
  private var capacity = 0
  private(set) var count = 0

  init() { start = .allocate(capacity: 0) }

  deinit {
    start.deinitialize(count: count)
    start.deallocate()
  }

  subscript(place: Int) -> Element {
    @inline(__always) _read { yield start[place] }
    @inline(__always) _modify { yield &start[place] }
  }

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

  private mutating func grow() {
    capacity = max(8, capacity * 2)
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    larger.moveInitialize(from: start, count: count)
    start.deallocate()
    start = larger
  }

  /// Gives away everything from `place` on; whoever takes it moves it elsewhere before the next push.
  @inline(__always)
  mutating func pop(from place: Int) -> UnsafeMutableBufferPointer<Element> {
    let given = UnsafeMutableBufferPointer(start: start + place, count: count - place)
    count = place
    return given
  }
}
