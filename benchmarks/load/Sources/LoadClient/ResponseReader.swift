import Glibc

/// Takes one HTTP/1.1 response apart as its bytes come, without copying its body.
///
///     try reader.feed(bytes) { part in body += part }
///
/// It knows chunked bodies, bodies with a length, and bodies that end with the connection, and throws at anything
/// that RFC 9112 does not allow there.
public final class ResponseReader {
  private enum State {
    case head
    case chunkSize
    case chunk(Int)
    case chunkEnd, trailer
    case length(Int)
    case untilClose
    case finished
  }

  private var state = State.head
  /// Of a head or a chunk's size that has not come in one piece.
  private var line: [UInt8] = []
  /// The status, once the head has been read.
  public private(set) var status: Int?
  /// The head as text, without its empty line.
  public private(set) var head = ""
  /// True when the server closes after this response.
  public private(set) var closes = false

  public init() {}

  public var isFinished: Bool {
    if case .finished = state { return true }
    return false
  }

  /// Takes what `bytes` holds of this response and hands on every part of the body; returns how many bytes of it
  /// belong to this response.
  public func feed(
    _ bytes: UnsafeRawBufferPointer, body: (UnsafeRawBufferPointer) throws -> Void
  ) throws -> Int {
    var at = 0
    while at < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
      switch state {
      case .head: at += try takeHead(rest)
      case .chunkSize: at += try takeLine(rest) { try startChunk() }
      case .trailer:
        at += try takeLine(rest) {
          guard line.isEmpty else { throw LoadError("a trailer after the last chunk") }
          state = .finished
        }
      case .chunk(let count):
        let taken = min(count, rest.count)
        try body(UnsafeRawBufferPointer(rebasing: rest[..<taken]))
        at += taken
        state = taken == count ? .chunkEnd : .chunk(count - taken)
      case .chunkEnd:
        at += try takeLine(rest) {
          guard line.isEmpty else { throw LoadError("a chunk is longer than its size says") }
          state = .chunkSize
        }
      case .length(let count):
        let taken = min(count, rest.count)
        try body(UnsafeRawBufferPointer(rebasing: rest[..<taken]))
        at += taken
        state = taken == count ? .finished : .length(count - taken)
      case .untilClose:
        try body(rest)
        at = bytes.count
      case .finished: return at
      }
    }
    return at
  }

  /// The connection has been closed by the server.
  public func end() throws {
    switch state {
    case .finished: return
    case .untilClose: state = .finished
    case .head: throw LoadError("closed before the end of the head")
    default: throw LoadError("closed in the middle of the body")
    }
  }

  private func takeHead(_ bytes: UnsafeRawBufferPointer) throws -> Int {
    let before = line.count
    line.append(contentsOf: bytes)
    // The four bytes may have begun in what came before.
    var end = max(0, before - 3)
    while end + 4 <= line.count {
      if line[end] == 13, line[end + 1] == 10, line[end + 2] == 13, line[end + 3] == 10 { break }
      end += 1
    }
    guard end + 4 <= line.count else {
      guard line.count <= 65536 else { throw LoadError("a head of more than 64 KiB") }
      return bytes.count
    }
    head = String(decoding: line[..<end], as: UTF8.self)
    line.removeAll(keepingCapacity: false)
    try readHead()
    return end + 4 - before
  }

  private func readHead() throws {
    let lines = head.split(separator: "\r\n")
    let words = lines.first?.split(separator: " ", maxSplits: 2) ?? []
    guard words.count >= 2, words[0] == "HTTP/1.1" || words[0] == "HTTP/1.0", let status = Int(words[1])
    else {
      throw LoadError("no status line: \(lines.first ?? "")")
    }
    self.status = status
    closes = words[0] == "HTTP/1.0"
    var (chunked, length) = (false, Int?.none)
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { throw LoadError("no header: \(line)") }
      let value = parts[1].drop { $0 == " " }
      switch parts[0].lowercased() {
      case "transfer-encoding": chunked = value.lowercased() == "chunked"
      case "content-length":
        guard let number = Int(value), number >= 0 else { throw LoadError("Content-Length: \(value)") }
        length = number
      case "connection":
        closes = value.lowercased() == "close" || (closes && value.lowercased() != "keep-alive")
      default: break
      }
    }
    if status == 204 || status == 304 {
      state = .finished
    } else if chunked {
      state = .chunkSize
    } else if let length {
      state = length == 0 ? .finished : .length(length)
    } else {
      (state, closes) = (.untilClose, true)
    }
  }

  /// Collects a line in `line`, and calls `body` when it is there, without its CRLF.
  private func takeLine(
    _ bytes: UnsafeRawBufferPointer, then body: () throws -> Void
  ) throws -> Int {
    guard let base = bytes.baseAddress, let found = memchr(base, 10, bytes.count) else {
      line.append(contentsOf: bytes)
      guard line.count <= 64 else {
        throw LoadError("no chunk size: \(String(decoding: line, as: UTF8.self))")
      }
      return bytes.count
    }
    let count = UnsafeRawPointer(found) - base
    line.append(contentsOf: bytes[..<count])
    guard line.popLast() == 13 else { throw LoadError("a line in the chunks that does not end with CRLF") }
    try body()
    line.removeAll(keepingCapacity: true)
    return count + 1
  }

  private func startChunk() throws {
    var size = 0
    guard !line.isEmpty, line.count <= 8 else { throw LoadError("no chunk size") }
    for byte in line {
      switch byte {
      case 0x30...0x39: size = size << 4 | Int(byte - 0x30)
      case 0x61...0x66: size = size << 4 | Int(byte - 0x61 + 10)
      case 0x41...0x46: size = size << 4 | Int(byte - 0x41 + 10)
      default: throw LoadError("no chunk size: \(String(decoding: line, as: UTF8.self))")
      }
    }
    state = size == 0 ? .trailer : .chunk(size)
  }
}
