/// The status line and the headers of a response.
struct ResponseHead: Sendable {
  var version: String
  var status: Int
  var headers: [(name: String, value: String)]

  /// The values of every header of this name, whatever its letters' case.
  func values(_ name: String) -> [String] {
    headers.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
  }

  /// The one value of a header; nil when it is missing or there are several.
  subscript(name: String) -> String? {
    let values = values(name)
    return values.count == 1 ? values[0] : nil
  }
}

/// Takes a connection's bytes as they come and gives the body's.
///
/// It is strict: a response that a lenient client would swallow is an error here.
struct ResponseParser {
  private enum Body {
    case length(Int)
    case chunkHead
    case chunk(Int)
    case chunkEnd
    case untilClose
  }

  /// Nil until it has come as a whole.
  private(set) var head: ResponseHead?
  private(set) var isFinished = false
  /// Bytes that came and are not yet taken; after the end, those of the next response.
  private(set) var waiting: [UInt8]
  /// Whether the body came in chunks.
  private(set) var isChunked = false
  private let hasNoBody: Bool
  private var body = Body.untilClose

  /// - Parameter waiting: what an earlier response on the connection left over.
  init(method: String, waiting: [UInt8] = []) {
    hasNoBody = method == "HEAD"
    self.waiting = waiting
  }

  /// Takes what has come; returns what the body gained.
  mutating func feed(_ bytes: some Sequence<UInt8>) throws -> [UInt8] {
    waiting.append(contentsOf: bytes)
    if head == nil, try !takeHead() { return [] }
    var gained: [UInt8] = []
    while !isFinished, try takeBody(into: &gained) {}
    return gained
  }

  /// The connection was closed.
  mutating func end() throws {
    if isFinished { return }
    guard head != nil, case .untilClose = body else {
      throw ClientError("closed in the middle of a response, \(waiting.count) bytes unread")
    }
    isFinished = true
  }

  private mutating func takeHead() throws -> Bool {
    guard let end = position(of: [13, 10, 13, 10]) else { return false }
    let lines = String(decoding: waiting[..<end], as: UTF8.self).split(separator: "\r\n")
    waiting.removeFirst(end + 4)
    let words = lines.first?.split(separator: " ", maxSplits: 2) ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
      throw ClientError("no status line: \(lines.first ?? "")")
    }
    let headers = try lines.dropFirst().map { line in
      guard let colon = line.firstIndex(of: ":") else { throw ClientError("no header: \(line)") }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      return (name: String(line[..<colon]), value: String(value))
    }
    let head = ResponseHead(version: String(words[0]), status: status, headers: headers)
    self.head = head
    if hasNoBody || status == 204 || status == 304 {
      isFinished = true
    } else if head.values("Transfer-Encoding") == ["chunked"] {
      guard head.values("Content-Length").isEmpty else { throw ClientError("chunked and with a length") }
      isChunked = true
      body = .chunkHead
    } else if let text = head["Content-Length"] {
      guard let length = Int(text), length >= 0 else { throw ClientError("Content-Length: \(text)") }
      body = .length(length)
    }
    return true
  }

  /// Whether there may be more to take.
  private mutating func takeBody(into gained: inout [UInt8]) throws -> Bool {
    switch body {
    case .untilClose:
      gained += waiting
      waiting.removeAll()
      return false
    case .length(let length):
      let taken = take(upTo: length, into: &gained)
      body = .length(length - taken)
      isFinished = taken == length
      return false
    case .chunkHead:
      guard let end = position(of: [13, 10]) else { return false }
      let text = String(decoding: waiting[..<end], as: UTF8.self)
      guard let length = Int(text, radix: 16), length >= 0 else { throw ClientError("chunk head: \(text)") }
      waiting.removeFirst(end + 2)
      body = length == 0 ? .chunkEnd : .chunk(length)
      isFinished = false
      return try length > 0 || takeLastChunkEnd()
    case .chunk(let length):
      let taken = take(upTo: length, into: &gained)
      body = .chunk(length - taken)
      guard taken == length, waiting.count >= 2 else { return false }
      guard waiting[0] == 13, waiting[1] == 10 else { throw ClientError("a chunk longer than its head says") }
      waiting.removeFirst(2)
      body = .chunkHead
      return true
    case .chunkEnd:
      return try takeLastChunkEnd()
    }
  }

  private mutating func takeLastChunkEnd() throws -> Bool {
    guard waiting.count >= 2 else { return false }
    guard waiting[0] == 13, waiting[1] == 10 else { throw ClientError("trailers after the last chunk") }
    waiting.removeFirst(2)
    isFinished = true
    return false
  }

  private mutating func take(upTo count: Int, into gained: inout [UInt8]) -> Int {
    let taken = min(count, waiting.count)
    gained += waiting[..<taken]
    waiting.removeFirst(taken)
    return taken
  }

  private func position(of pattern: [UInt8]) -> Int? {
    guard waiting.count >= pattern.count else { return nil }
    return waiting.withUnsafeBufferPointer { bytes in
      (0...(bytes.count - pattern.count)).first { start in
        pattern.indices.allSatisfy { bytes[start + $0] == pattern[$0] }
      }
    }
  }
}
