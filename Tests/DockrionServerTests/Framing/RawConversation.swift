/// What came back on a connection from its first byte to its end.
struct RawConversation {
  let replies: [Response]
  /// Interim replies (1xx) that came before them.
  let interim: [Int]

  /// Sends each piece with a send of its own, then reads until the server closes.
  ///
  /// - Throws: when the server does not close in time, or sends what is no reply.
  init(_ connection: Connection, _ pieces: [[UInt8]], method: String = "POST", within seconds: Double = 10)
    throws
  {
    connection.sendWithoutDelay()
    let deadline = Deadline.in(seconds)
    // A server that has refused may close while the rest is still on its way.
    for piece in pieces { if (try? connection.send(piece)) == nil { break } }
    var received: [UInt8] = []
    while true {
      let bytes = try connection.receive(until: deadline)
      if bytes.isEmpty { break }
      received += bytes
    }
    var (replies, interim): ([Response], [Int]) = ([], [])
    while !received.isEmpty {
      var parser = ResponseParser(method: method)
      let body = try parser.feed(received)
      if !parser.isFinished { try parser.end() }
      guard let head = parser.head else { throw ClientError("no head: \(received.count) bytes") }
      received = parser.waiting
      if head.status < 200 {
        interim.append(head.status)
      } else {
        replies.append(Response(head: head, body: body))
      }
    }
    (self.replies, self.interim) = (replies, interim)
  }
}
