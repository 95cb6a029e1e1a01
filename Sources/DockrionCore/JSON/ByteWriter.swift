import Glibc

/// Bytes being put together: a buffer that grows by doubling and is freed with its owner.
///
/// It exists for the encoder and for the loop's replies, where the standard array's checks on every append
/// show in a profile of `benchmarks/wrk/stream.lua`.
public struct ByteWriter: ~Copyable {
  private var start: UnsafeMutablePointer<UInt8>
  private(set) var capacity: Int
  /// How many bytes have been written.
  public private(set) var count = 0

  /// - Parameter capacity: bytes to reserve; at least 1.
  public init(capacity: Int = 256) {
    self.capacity = max(capacity, 1)
    start = Self.allocate(self.capacity)
  }

  deinit { free(start) }

  // `malloc` itself: Swift's `allocate` asks for an alignment, which takes the allocator three times as long.
  private static func allocate(_ capacity: Int) -> UnsafeMutablePointer<UInt8> {
    guard let memory = malloc(capacity) else { fatalError("no memory for \(capacity) bytes") }
    return memory.bindMemory(to: UInt8.self, capacity: capacity)
  }

  /// What has been written; valid until the next write.
  public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

  /// What has been written, as an array of its own.
  public func array() -> [UInt8] { Array(UnsafeBufferPointer(start: start, count: count)) }

  /// Gives what has been written away; whoever takes it calls `free`.
  consuming func detach() -> UnsafeRawBufferPointer {
    let written = bytes
    discard self
    return written
  }

  /// Forgets what has been written and keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Empties it for its next use, and gives back what is more than `Limits.scratchBytesKept`.
  public mutating func reuse() { removeAll(keepingAtMost: Limits.scratchBytesKept) }

  /// Forgets what was written after the first `length` bytes.
  public mutating func truncate(to length: Int) { count = min(count, length) }

  /// Gives memory above `limit` bytes back, once what has been written is forgotten.
  public mutating func removeAll(keepingAtMost limit: Int) {
    count = 0
    guard capacity > limit else { return }
    free(start)
    capacity = max(limit, 1)
    start = Self.allocate(capacity)
  }

  @inline(__always)
  mutating func reserve(_ more: Int) {
    if count + more > capacity { grow(more) }
  }

  private mutating func grow(_ more: Int) {
    let larger = max(capacity * 2, count + more)
    let moved = Self.allocate(larger)
    moved.update(from: start, count: count)
    free(start)
    start = moved
    capacity = larger
  }

  @inline(__always)
  public mutating func append(_ byte: UInt8) {
    reserve(1)
    start[count] = byte
    count += 1
  }

  @inline(__always)
  public mutating func append(_ source: UnsafeRawBufferPointer) {
    guard let base = source.baseAddress, !source.isEmpty else { return }
    reserve(source.count)
    UnsafeMutableRawPointer(start + count).copyMemory(from: base, byteCount: source.count)
    count += source.count
  }

  @inline(__always)
  public mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  public mutating func append(_ source: [UInt8]) { source.withUnsafeBytes { append($0) } }

  // Disfavoured, so that a literal is a `StaticString`, whose bytes are copied without a string's bookkeeping.
  @_disfavoredOverload
  public mutating func append(_ text: String) {
    withBytes(of: text) { $0.append($1) }
  }

  /// Lends a string's bytes, without a copy of the string where they lie side by side.
  @inline(__always)
  mutating func withBytes(of text: String, _ body: (inout ByteWriter, UnsafeRawBufferPointer) -> Void) {
    if text.utf8.withContiguousStorageIfAvailable({ body(&self, UnsafeRawBufferPointer($0)) }) == nil {
      var copy = text
      copy.withUTF8 { body(&self, UnsafeRawBufferPointer($0)) }
    }
  }

  /// Lets `body` write that many bytes; it writes each of them.
  @inline(__always)
  mutating func append(exactly length: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Void) {
    reserve(length)
    body(start + count)
    count += length
  }

  /// Where the next byte goes; up to the reserved room behind it may be written.
  @inline(__always)
  var unsafeEnd: UnsafeMutableRawPointer { UnsafeMutableRawPointer(start + count) }

  /// Counts what was written behind the end.
  @inline(__always)
  mutating func advance(to end: UnsafeMutableRawPointer) { count = end - UnsafeMutableRawPointer(start) }

  /// Writes an integer in decimal.
  public mutating func append(decimal value: Int) {
    reserve(20)
    if value < 0 { append(UInt8(ascii: "-")) }
    var rest = value.magnitude
    var length = 1
    var bound: UInt = 10
    while rest >= bound {
      length += 1
      let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
      if overflow { break }
      bound = next
    }
    var at = count + length
    count = at
    repeat {
      at -= 1
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      start[at] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: digit)
      rest = quotient
    } while rest > 0
  }

  /// Writes an integer of 0 or more in lower-case hexadecimal, as a chunk's head needs it (RFC 9112, 7.1).
  public mutating func append(hexadecimal value: Int) {
    var shift = 60
    while shift > 0, (value >> shift) & 15 == 0 { shift -= 4 }
    while shift >= 0 {
      let digit = UInt8(truncatingIfNeeded: (value >> shift) & 15)
      append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      shift -= 4
    }
  }
}
