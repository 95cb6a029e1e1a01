import DockrionCore

/// The head of a frame from a worker. `docs/python-channel.md` has the bytes.
struct PythonFrame: Equatable {
  enum Kind: UInt8, CaseIterable {
    case ready = 0x41
    case event, done, fail, cancelled, log, pong, fatal
  }

  static let headBytes = 12

  let kind: Kind
  /// Of an event: bytes of its custom name. Of a log line: its level.
  let small: Int
  /// Of an event: what it is. Of a log line: bytes of its logger's name.
  let large: Int
  /// The run's number in its process; 0 is the process.
  let run: UInt32
  /// Bytes behind the head.
  let length: Int

  /// Reads the head at the beginning of `bytes`, which has as many as a head takes.
  init(_ bytes: UnsafeRawBufferPointer) throws(PythonFrameError) {
    length = Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self)))
    small = Int(bytes[5])
    large = Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 6, as: UInt16.self)))
    run = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    guard let kind = Kind(rawValue: bytes[4]) else {
      throw PythonFrameError("a frame of type 0x\(String(bytes[4], radix: 16)), which there is not")
    }
    self.kind = kind
    guard length <= Limits.pythonFrameBytesMax else {
      throw PythonFrameError(
        "a frame of \(length) bytes; at most \(Limits.pythonFrameBytesMax) are taken")
    }
    guard isWellFormed else { throw PythonFrameError("a frame whose head contradicts itself: \(self)") }
  }

  private var isWellFormed: Bool {
    let isPlain = small == 0 && large == 0
    return switch kind {
    case .event:
      run > 0 && large <= 4 && (small > 0) == (large == 0) && small <= length
        && length <= Limits.eventBytesMax
    case .done, .fail: run > 0 && isPlain
    case .cancelled: run > 0 && isPlain && length == 0
    case .log: large <= length
    case .pong: run == 0 && isPlain && length == 12
    case .ready, .fatal: run == 0 && isPlain
    }
  }
}

/// Why a worker's bytes cannot be taken: the worker is replaced.
struct PythonFrameError: Error, Equatable, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Cuts what a worker sends into frames, however it comes in.
struct PythonFrameReader {
  // The beginning of a frame that has not come as a whole.
  private var pending: [UInt8] = []

  /// True when the worker has stopped within a frame.
  var isWithinFrame: Bool { !pending.isEmpty }

  /// Calls `body` for each frame that is whole now, with what stands behind its head.
  ///
  /// - Throws: `PythonFrameError` for bytes that are no frame, and what `body` throws; nothing may be fed after that.
  mutating func feed(
    _ bytes: UnsafeRawBufferPointer, _ body: (PythonFrame, UnsafeRawBufferPointer) throws -> Void
  ) throws {
    if pending.isEmpty {
      let used = try Self.take(bytes, body)
      pending.append(contentsOf: bytes[used...])
      return
    }
    pending.append(contentsOf: bytes)
    let used = try pending.withUnsafeBytes { try Self.take($0, body) }
    guard used > 0 else { return }
    if used == pending.count {
      pending.removeAll(keepingCapacity: pending.capacity <= 2 * Limits.pythonReadBytes)
    } else {
      pending.removeFirst(used)
    }
  }

  /// - Returns: how many bytes the whole frames took.
  private static func take(
    _ bytes: UnsafeRawBufferPointer, _ body: (PythonFrame, UnsafeRawBufferPointer) throws -> Void
  ) throws -> Int {
    var at = 0
    while bytes.count - at >= PythonFrame.headBytes {
      let frame = try PythonFrame(UnsafeRawBufferPointer(rebasing: bytes[at...]))
      let start = at + PythonFrame.headBytes
      guard bytes.count - start >= frame.length else { break }
      at = start + frame.length
      try body(frame, UnsafeRawBufferPointer(rebasing: bytes[start..<at]))
    }
    return at
  }
}

/// The frames to a worker.
enum PythonMessage {
  private enum Kind: UInt8 {
    case hello = 1
    case start, cancel, acknowledge, drain, ping
  }

  static func hello(_ json: UnsafeRawBufferPointer, to out: inout ByteWriter) {
    head(.hello, run: 0, json.count, to: &out)
    out.append(json)
  }

  /// - Parameters:
  ///   - head: JSON about the run.
  ///   - payload: the client's.
  static func start(
    run: UInt32, _ head: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, to out: inout ByteWriter
  ) {
    self.head(.start, run: run, 4 + head.count + payload.count, to: &out)
    append(UInt32(head.count), to: &out)
    out.append(head)
    out.append(payload)
  }

  static func cancel(run: UInt32, to out: inout ByteWriter) { head(.cancel, run: run, 0, to: &out) }

  /// - Parameter count: events of the run that have been passed on, modulo 2³².
  static func acknowledge(run: UInt32, _ count: UInt32, to out: inout ByteWriter) {
    head(.acknowledge, run: run, 4, to: &out)
    append(count, to: &out)
  }

  static func drain(to out: inout ByteWriter) { head(.drain, run: 0, 0, to: &out) }

  static func ping(_ number: UInt64, to out: inout ByteWriter) {
    head(.ping, run: 0, 8, to: &out)
    append(number, to: &out)
  }

  private static func head(_ kind: Kind, run: UInt32, _ length: Int, to out: inout ByteWriter) {
    append(UInt32(length), to: &out)
    append(UInt32(kind.rawValue), to: &out)
    append(run, to: &out)
  }

  private static func append(_ number: some FixedWidthInteger, to out: inout ByteWriter) {
    withUnsafeBytes(of: number.littleEndian) { out.append($0) }
  }
}
