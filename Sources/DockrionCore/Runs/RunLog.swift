import DequeModule

/// A run's newest events in their wire form: bytes stored once, read by any number of cursors.
///
/// An event lies whole in one segment, so a reader gets stretches of memory that can be written as they are. The
/// first segment is small and each next one twice the last, up to 64 KiB. Not `Sendable`: it lives on the loop.
public final class RunLog {
  private struct Segment {
    let start: UnsafeMutableRawPointer
    let capacity: Int
    var used = 0
    var events = 0
  }

  private struct Entry {
    var offset: UInt32
    var length: UInt32
    var segment: UInt32  // counts from the run's first segment, wrapping
    var kind: EventKind
    var isCustom: Bool { kind == .custom }
  }

  private static let firstSegmentBytes = 1 << 10
  private static let segmentBytesMax = 64 << 10
  static let scratchBytesKept = 512

  private let eventsMax: Int
  private var segments: Deque<Segment> = []
  private var droppedSegments: UInt32 = 0
  private var entries: Deque<Entry> = []
  private(set) var customNames: [Int: String] = [:]
  private var segmentBytes = 0
  private var scratch = ByteWriter(capacity: RunLog.scratchBytesKept)
  /// Bytes of memory that it has besides, between events.
  var scratchCapacity: Int { scratch.capacity }

  /// The sequence of the oldest event that is kept; `lastSequence + 1` when none is.
  public private(set) var firstSequence = 1
  /// The sequence of the newest event; 0 before the first.
  public private(set) var lastSequence = 0

  /// - Parameter eventsMax: events to keep, 1 or more; the oldest go first.
  public init(eventsMax: Int) { self.eventsMax = max(1, eventsMax) }

  deinit {
    for segment in segments { segment.start.deallocate() }
  }

  /// Bytes of memory that the events take.
  public var byteCount: Int { segmentBytes + entries.count * MemoryLayout<Entry>.stride }

  /// Bytes of the events behind `sequence`.
  public func bytes(after sequence: Int) -> Int {
    entries.dropFirst(max(0, sequence + 1 - firstSequence)).reduce(0) { $0 + Int($1.length) }
  }

  /// Adds an event under the next sequence, which is returned.
  @discardableResult
  public func append(_ record: EventRecord) -> Int {
    lastSequence += 1
    scratch.removeAll()
    record.write(sequence: lastSequence, id: true, to: &scratch)
    store(scratch.bytes, record.kind)
    // What a large event took would lie here uncounted until the next one, behind the last one for ever.
    if scratch.count > Self.scratchBytesKept { scratch = ByteWriter(capacity: Self.scratchBytesKept) }
    if let customName = record.customName { customNames[lastSequence] = customName }
    while entries.count > eventsMax { dropOldest() }
    return lastSequence
  }

  /// Adds an event that has its wire form and its sequence, the next one.
  ///
  /// - Parameter customName: for a custom event.
  public func append(stored bytes: UnsafeRawBufferPointer, _ kind: EventKind, customName: String?) {
    lastSequence += 1
    store(bytes, kind)
    if let customName { customNames[lastSequence] = customName }
    while entries.count > eventsMax { dropOldest() }
  }

  /// Drops everything and goes on with that sequence; readers that are behind it are told by `firstSequence`.
  public func reset(nextSequence: Int) {
    for segment in segments { segment.start.deallocate() }
    droppedSegments &+= UInt32(segments.count)
    segments = []
    entries = []
    customNames = [:]
    segmentBytes = 0
    firstSequence = nextSequence
    lastSequence = nextSequence - 1
  }

  /// Drops the events behind `sequence`.
  public func truncate(after sequence: Int) {
    guard sequence >= firstSequence else { return reset(nextSequence: max(1, sequence + 1)) }
    while lastSequence > sequence, let entry = entries.popLast() {
      customNames[lastSequence] = nil
      lastSequence -= 1
      let index = Int(entry.segment &- droppedSegments)
      segments[index].used -= Int(entry.length)
      segments[index].events -= 1
      if segments[index].events == 0, index > 0 {
        segmentBytes -= segments[index].capacity
        segments[index].start.deallocate()
        segments.remove(at: index)
      }
    }
  }

  private func store(_ bytes: UnsafeRawBufferPointer, _ kind: EventKind) {
    if segments.isEmpty
      || segments[segments.count - 1].capacity - segments[segments.count - 1].used < bytes.count
    {
      let last = segments.last?.capacity ?? Self.firstSegmentBytes / 2
      let capacity = max(min(last * 2, Self.segmentBytesMax), bytes.count)
      segments.append(Segment(start: .allocate(byteCount: capacity, alignment: 8), capacity: capacity))
      segmentBytes += capacity
    }
    let last = segments.count - 1
    let offset = segments[last].used
    if let base = bytes.baseAddress {
      (segments[last].start + offset).copyMemory(from: base, byteCount: bytes.count)
    }
    segments[last].used += bytes.count
    segments[last].events += 1
    entries.append(
      Entry(
        offset: UInt32(offset), length: UInt32(bytes.count), segment: droppedSegments &+ UInt32(last),
        kind: kind))
  }

  /// Drops the oldest event; readers that still needed it are told by `firstSequence`.
  public func dropOldest() {
    guard entries.popFirst() != nil else { return }
    customNames[firstSequence] = nil
    firstSequence += 1
    segments[0].events -= 1
    if segments[0].events == 0, segments.count > 1 || entries.isEmpty {
      let empty = segments.removeFirst()
      empty.start.deallocate()
      segmentBytes -= empty.capacity
      droppedSegments &+= 1
    }
  }

  /// Gives back the unused end of the last segment; for a log that gets no more events.
  public func shrink() {
    guard let last = segments.last, last.capacity - last.used >= 512 else { return }
    let exact = UnsafeMutableRawPointer.allocate(byteCount: max(1, last.used), alignment: 8)
    exact.copyMemory(from: last.start, byteCount: last.used)
    last.start.deallocate()
    segments[segments.count - 1] = Segment(
      start: exact, capacity: last.used, used: last.used, events: last.events)
    segmentBytes -= last.capacity - last.used
  }

  /// The stored events from `sequence` on that lie side by side, as many as fit `bytesMax`, one at least.
  ///
  /// - Parameters:
  ///   - sequence: `firstSequence`…`lastSequence`.
  ///   - limit: the last sequence to give, or nil for the newest.
  /// - Returns: their bytes, valid until the log changes, and the sequence after the last of them.
  public func read(
    from sequence: Int, through limit: Int? = nil, bytesMax: Int
  ) -> (bytes: UnsafeRawBufferPointer, next: Int) {
    precondition(sequence >= firstSequence && sequence <= lastSequence, "sequence \(sequence) is not stored")
    let first = sequence - firstSequence
    let head = entries[first]
    var end = Int(head.offset) + Int(head.length)
    var next = first + 1
    let stop = min(entries.count, (limit ?? lastSequence) - firstSequence + 1)
    while next < stop, entries[next].segment == head.segment {
      let further = Int(entries[next].offset) + Int(entries[next].length)
      if further - Int(head.offset) > bytesMax { break }
      end = further
      next += 1
    }
    let start = segments[Int(head.segment &- droppedSegments)].start
    let bytes = UnsafeRawBufferPointer(start: start + Int(head.offset), count: end - Int(head.offset))
    return (bytes, next + firstSequence)
  }

  /// True when a stored event passes a filter.
  public func passes(_ filter: EventsFilter, at sequence: Int) -> Bool {
    let entry = entries[sequence - firstSequence]
    guard entry.isCustom else { return filter.passes(entry.kind) }
    return filter.passes(custom: customNames[sequence] ?? "")
  }

  /// True when some event from `sequence` on passes the filter.
  public func hasEvent(from sequence: Int, passing filter: EventsFilter) -> Bool {
    var at = max(sequence, firstSequence)
    while at <= lastSequence {
      if passes(filter, at: at) { return true }
      at += 1
    }
    return false
  }
}
