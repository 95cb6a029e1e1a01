import DockrionCore
import DockrionProgram

/// A whole reply.
struct HTTPReply {
  let status: Int
  let location: String?
  let body: [UInt8]

  /// Reads what has not been read yet.
  ///
  /// - Throws: `ConnectionProblem` when it breaks, or has more than `Limits.replyBytesMax` bytes.
  init(_ exchange: HTTPExchange) throws(ConnectionProblem) {
    let head = try exchange.head()
    var body: [UInt8] = []
    while let bytes = try exchange.bytes() {
      body += bytes
      guard body.count <= Limits.replyBytesMax else {
        throw ConnectionProblem("the reply has more than \(Limits.replyBytesMax) bytes")
      }
    }
    (status, location, self.body) = (head.status, head.location, body)
  }

  /// The reply's JSON object.
  func object() throws(CommandError) -> JSONObject {
    do { return try JSONObject(parsing: String(decoding: body, as: UTF8.self)) } catch {
      throw CommandError("the reply with status \(status) is no JSON object: is this a Dockrion server?")
    }
  }

  /// The server's own sentence about why it refused.
  var problem: String {
    if (300...399).contains(status) {
      let place = location.map { "points to \(Terminal.harmless($0))" } ?? "points elsewhere"
      return
        "the server answered with status \(status) and \(place), which is not followed: the key would go there "
        + "too. Name the place with --url if that is right"
    }
    guard let reply = try? JSONObject(parsing: String(decoding: body, as: UTF8.self)),
      let sentence = reply["error"]?.string
    else { return "the server answered with status \(status)" }
    return "\(status) " + Self.sentence(reply["code"], sentence, reply["details"])
  }

  /// An error in one line: its code, its sentence, and whatever else was said of it.
  static func sentence(_ code: JSONValue?, _ message: String, _ details: JSONValue?) -> String {
    let start = Terminal.harmless("\(code?.string ?? ""): \(message)")
    guard let details, details != .null, let text = try? JSONText.line(details) else { return start }
    return "\(start) \(text)"
  }

  /// - Throws: the server's sentence, unless it answered with that status.
  func expect(_ expected: Int) throws(CommandError) {
    if status != expected { throw CommandError(problem) }
  }
}

/// What keeps a client from its server: nobody listens, or the connection broke.
struct ConnectionProblem: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = Terminal.harmless(description) }
}

extension ConnectionProblem {
  /// For a person whose very first attempt failed.
  func explained(_ request: HTTPRequest) -> CommandError {
    CommandError("\(request.place): \(description); does a server run there? See --url")
  }
}
