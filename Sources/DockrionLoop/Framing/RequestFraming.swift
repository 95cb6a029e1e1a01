import DockrionCore
import Glibc

/// Follows the bytes of a connection from request to request and says which of them evhttp may read.
///
/// A value without a socket: the bytes of a connection go in as they come, and each answer is about the first of
/// those that have not been answered for. evhttp gets heads as a whole, and of chunked bodies sizes and data alone.
package struct RequestFraming {
  package enum Step: Equatable {
    /// The first so many bytes are good as they are.
    case pass(Int)
    /// The first so many bytes are good, and evhttp gets these in their place.
    case replace(Int, by: [UInt8])
    /// More bytes are needed to say anything about the first one.
    case wait
    /// `refusal` is set. With these bytes in place of all that comes, evhttp has a request that can be answered.
    case refuse(by: [UInt8])
    /// Nothing is read any more.
    case drop
  }

  private enum State: Equatable {
    case head
    case body(Int)
    case chunkHead
    case chunk(Int)
    case chunkEnd
    case trailers
    case over
  }

  /// Heads that evhttp got, a refused request's among them.
  package private(set) var requestCount = 0
  /// Why the last of them is refused.
  package private(set) var refusal: FramingRefusal?
  /// What that one asked for, where evhttp gets something else in its place.
  package private(set) var refusedHead: RefusedHead?
  private let bodyBytesMax: Int
  private var state = State.head
  private var head = RequestHead()
  private var bodyBytes = 0
  private var trailerBytes = 0

  /// - Parameter bodyBytesMax: bytes of a body; 413 above it.
  package init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

  /// Whether nothing behind the last request is read.
  package var isOver: Bool { state == .over }

  /// True when that many bytes lie within a body; they are then good as they are.
  package mutating func passWithinBody(_ count: Int) -> Bool {
    guard case .body(let left) = state, left >= count else { return false }
    state = left == count ? .head : .body(left - count)
    return true
  }

  /// Says what to do with the first of these bytes, of which there is at least one.
  ///
  /// After `.wait` the same bytes are shown again, with more behind them.
  package mutating func next(_ bytes: UnsafeRawBufferPointer) -> Step {
    let state = state
    do throws(FramingRefusal) {
      switch state {
      case .head: return try readHead(bytes)
      case .body(let left):
        let count = min(left, bytes.count)
        self.state = left == count ? .head : .body(left - count)
        return .pass(count)
      case .chunkHead: return try readChunkHead(bytes)
      case .chunk(let left):
        let count = min(left, bytes.count)
        self.state = left == count ? .chunkEnd : .chunk(left - count)
        return .pass(count)
      case .chunkEnd: return try readChunkEnd(bytes)
      case .trailers: return try readTrailer(bytes)
      case .over: return .drop
      }
    } catch {
      refusal = error
      if state == .head { refusedHead = RefusedHead(bytes) }
      self.state = .over
      return .refuse(by: standIn(for: state, bytes))
    }
  }

  // MARK: Heads

  private mutating func readHead(_ bytes: UnsafeRawBufferPointer) throws(FramingRefusal) -> Step {
    // A server should ignore an empty line before a request (RFC 9112, 2.2).
    if bytes[0] == Octets.carriageReturn {
      guard bytes.count > 1 else { return .wait }
      if bytes[1] == Octets.lineFeed { return .replace(2, by: []) }
    }
    guard let count = try head.read(bytes) else { return .wait }
    let whole = bytes.part(0, count)
    switch head.body {
    case .none: break
    case _ where !head.parserReadsBody(whole): state = .over
    case .length(let length):
      guard length <= bodyBytesMax else { throw tooLarge("\(length) bytes") }
      state = .body(length)
    case .chunked:
      state = .chunkHead
      bodyBytes = 0
    }
    requestCount += 1
    let step: Step = head.needsRewriting ? .replace(count, by: head.rewritten(whole)) : .pass(count)
    head = RequestHead()
    return step
  }

  private func tooLarge(_ what: String) -> FramingRefusal {
    FramingRefusal("body: \(what); at most \(bodyBytesMax) are read", status: 413)
  }

  /// What evhttp gets of a refused request: enough for an exchange, and nothing that is in doubt.
  private mutating func standIn(for state: State, _ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    switch state {
    case .chunkHead, .chunkEnd, .chunk: return Array("0\r\n\r\n".utf8)
    case .trailers: return Array("\r\n".utf8)
    case .head, .body, .over:
      requestCount += 1
      if refusal?.status == 413 { return head.rewritten(bytes, withoutBody: true) }
      guard head.requestLineCount > 0 else { return Array("REFUSED * HTTP/1.1\r\n\r\n".utf8) }
      return head.requestLine(bytes) + "\r\n".utf8
    }
  }

  // MARK: Chunks

  private mutating func readChunkHead(_ bytes: UnsafeRawBufferPointer) throws(FramingRefusal) -> Step {
    guard let count = try lineCount(bytes, Limits.chunkLineBytesMax, 400, "a chunk's size and its extensions")
    else { return .wait }
    let line = try RequestHead.withoutEnd(bytes.part(0, count - 1))
    let (size, digits) = try ChunkHead.read(line)
    guard size <= bodyBytesMax - bodyBytes else {
      throw tooLarge(
        size == .max ? "more than can be counted" : "chunks of more than \(bodyBytes) + \(size) bytes")
    }
    bodyBytes += size
    if size == 0 { trailerBytes = 0 }
    state = size == 0 ? .trailers : .chunk(size)
    return digits == line.count ? .pass(count) : .replace(count, by: line[..<digits] + [13, 10])
  }

  private mutating func readChunkEnd(_ bytes: UnsafeRawBufferPointer) throws(FramingRefusal) -> Step {
    guard bytes[0] == Octets.carriageReturn, bytes.count == 1 || bytes[1] == Octets.lineFeed else {
      let found = bytes.first(bytes[0] == Octets.carriageReturn ? 2 : 1)
      throw FramingRefusal("chunk", found, "stands behind its data, where CR LF must")
    }
    guard bytes.count > 1 else { return .wait }
    state = .chunkHead
    return .pass(2)
  }

  /// trailer-section = *( field-line CRLF )                                      RFC 9112, 7.1.2
  ///
  /// Trailers are left out: evhttp would take them for headers, which they must not become (RFC 9110, 6.5.1).
  private mutating func readTrailer(_ bytes: UnsafeRawBufferPointer) throws(FramingRefusal) -> Step {
    let left = Limits.headerBytesMax - trailerBytes
    guard let count = try lineCount(bytes, left, 431, "the trailers") else { return .wait }
    let line = try RequestHead.withoutEnd(bytes.part(0, count - 1))
    if line.isEmpty {
      state = .head
      return .pass(count)
    }
    _ = try RequestHead.checkField(line)
    trailerBytes += count
    return .replace(count, by: [])
  }

  /// How many bytes the first line has, with its end; nil while it is not whole.
  private func lineCount(_ bytes: UnsafeRawBufferPointer, _ most: Int, _ status: Int, _ what: String)
    throws(FramingRefusal) -> Int?
  {
    guard let base = bytes.baseAddress else { return nil }
    if let found = memchr(base, 10, min(bytes.count, most)) {
      return base.distance(to: UnsafeRawPointer(found)) + 1
    }
    guard bytes.count < most else { throw FramingRefusal("\(what): too many bytes", status: status) }
    return nil
  }
}
