import LoadClient
import Testing

/// Reads a response that comes in pieces of that size; returns its body and what it left over.
private func read(_ text: String, pieces: Int, ends: Bool = false) throws -> (
  reader: ResponseReader, body: String, left: Int
) {
  let reader = ResponseReader()
  var body: [UInt8] = []
  let bytes = Array(text.utf8)
  var at = 0
  while at < bytes.count, !reader.isFinished {
    let piece = Array(bytes[at..<min(bytes.count, at + pieces)])
    at += try piece.withUnsafeBytes { piece in try reader.feed(piece) { body.append(contentsOf: $0) } }
  }
  if ends { try reader.end() }
  return (reader, String(decoding: body, as: UTF8.self), bytes.count - at)
}

@Suite struct ResponseReaderTests {
  static let chunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"

  @Test(arguments: 1...120) func chunkedBodyInPiecesOfAnySize(pieces: Int) throws {
    let result = try read(Self.chunked, pieces: pieces)
    #expect(result.body == "Helloabcdefghijklmnopqrstuvwxyz")
    #expect(result.reader.status == 200)
    #expect(result.reader.isFinished && !result.reader.closes)
  }

  @Test(arguments: [1, 7, 1000]) func bytesOfTheNextResponseAreLeft(pieces: Int) throws {
    let next = "HTTP/1.1 404 Not Found\r\n"
    let result = try read("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + next, pieces: pieces)
    #expect(result.body == "ok")
    #expect(result.left == next.utf8.count)
  }

  @Test func bodyWithoutLengthEndsWithTheConnection() throws {
    let result = try read("HTTP/1.1 200 OK\r\n\r\nall of it", pieces: 3, ends: true)
    #expect(result.body == "all of it")
    #expect(result.reader.closes)
  }

  @Test func noContentHasNoBody() throws {
    #expect(try read("HTTP/1.1 204 No Content\r\n\r\n", pieces: 5).reader.isFinished)
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHelloo",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nHello",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "SSH-2.0-OpenSSH\r\n\r\n",
  ])
  func brokenFramingIsRefused(text: String) {
    #expect(throws: LoadError.self) { try read(text, pieces: text.utf8.count, ends: true) }
  }

  @Test(arguments: [10, 40, 60, 90]) func cutResponseIsRefused(length: Int) {
    #expect(throws: LoadError.self) {
      try read(String(decoding: Self.chunked.utf8.prefix(length), as: UTF8.self), pieces: 1000, ends: true)
    }
  }
}
