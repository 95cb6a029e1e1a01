import Testing

/// A whole response.
struct Response: Sendable {
  var head: ResponseHead
  var body: [UInt8]

  var status: Int { head.status }
  var text: String { String(decoding: body, as: UTF8.self) }

  subscript(header: String) -> String? { head[header] }

  func json() throws -> JSON { try JSON(bytes: body) }

  /// The `code` of an error reply, once the reply has the form that section 2 gives every error.
  func errorCode(_ location: SourceLocation = #_sourceLocation) throws -> String {
    let json = try json()
    #expect(json.names == ["code", "error", "success"], sourceLocation: location)
    #expect(json["success"] == false, sourceLocation: location)
    #expect(json["error"]?.string?.isEmpty == false, sourceLocation: location)
    #expect(self["Content-Type"]?.hasPrefix("application/json") == true, sourceLocation: location)
    return try #require(json["code"]?.string, sourceLocation: location)
  }

  /// The sentence of an error reply.
  func errorSentence() throws -> String { try json()["error"]?.string ?? "" }
}

extension Connection {
  /// Sends a request and reads its response; the connection may be used again.
  func request(
    _ method: String, _ path: String, headers: [String] = [], body: String? = nil, within seconds: Double = 10
  ) throws -> Response {
    try send(requestText(method, path, headers: headers, body: body))
    return try response(to: method, within: seconds)
  }

  /// Reads the next response.
  func response(to method: String, within seconds: Double = 10) throws -> Response {
    let deadline = Deadline.in(seconds)
    var parser = ResponseParser(method: method)
    var body: [UInt8] = []
    while true {
      let bytes = try receive(until: deadline)
      if bytes.isEmpty { try parser.end() } else { body += try parser.feed(bytes) }
      guard parser.isFinished, let head = parser.head else { continue }
      unread(parser.waiting)
      return Response(head: head, body: body)
    }
  }
}

/// The bytes of a request; `headers` are whole lines without their ends, and win over those made here.
func requestText(
  _ method: String, _ path: String, headers: [String] = [], body: String? = nil, version: String = "1.1"
) -> String {
  func isGiven(_ name: String) -> Bool { headers.contains { $0.lowercased().hasPrefix(name + ":") } }
  var lines = ["\(method) \(path) HTTP/\(version)"]
  if !isGiven("host") { lines.append("Host: test.local") }
  if let body {
    if !isGiven("content-type") { lines.append("Content-Type: application/json") }
    if !isGiven("content-length") { lines.append("Content-Length: \(body.utf8.count)") }
  }
  return (lines + headers).joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")
}
