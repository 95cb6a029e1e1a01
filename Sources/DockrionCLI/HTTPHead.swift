import DockrionCore
import DockrionProgram
import Foundation

/// The head of a reply, as far as a client command looks at it.
struct HTTPHead: Equatable {
  var status: Int
  /// Where a redirect points to.
  var location: String?
  /// The media type without its parameters, in lower case.
  var contentType: String?
}

/// Reads a reply's head line by line, and the trailers behind its body.
struct HTTPHeadReader {
  /// The final head, when all of it has come.
  private(set) var head: HTTPHead?
  private var next = HTTPHead(status: 0)
  private var byteCount = 0

  /// Takes one line with its end.
  ///
  /// - Returns: why the reply is refused; nil where it is not.
  mutating func take(line bytes: some Collection<UInt8>) -> String? {
    byteCount += bytes.count
    guard byteCount <= Limits.replyHeadBytesMax else {
      return "the reply's head has more than \(Limits.replyHeadBytesMax) bytes"
    }
    // Trailers say nothing here.
    guard head == nil else { return nil }
    let line = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    if line.isEmpty {
      if next.status >= 200 { head = next }
    } else if line.hasPrefix("HTTP/") {
      // Also behind a 100 Continue or a 103 Early Hints.
      next = HTTPHead(status: line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0)
    } else if let colon = line.firstIndex(of: ":") {
      let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      return take(field: line[..<colon].lowercased(), value)
    }
    return nil
  }

  private mutating func take(field name: String, _ value: String) -> String? {
    switch name {
    case "location": next.location = next.location ?? value
    case "content-type":
      next.contentType = value.prefix { $0 != ";" }.trimmingCharacters(in: .whitespaces).lowercased()
    case "content-encoding" where value.lowercased() != "identity" && !value.isEmpty,
      "transfer-encoding" where value.lowercased() != "chunked":
      return "the reply comes in the coding \(quoted(value)), which was not asked for"
    default: break
    }
    return nil
  }
}

extension HTTPHead {
  /// - Throws: `CommandError` for a page, which a proxy may put in a server's place.
  func expectStream() throws(CommandError) {
    guard contentType != "text/event-stream" else { return }
    let type = contentType.map { Terminal.harmless($0) } ?? "of no type"
    throw CommandError("the reply is \(type) and no event stream: is this a Dockrion server?")
  }
}

extension ServerSentEvent {
  /// - Throws: `CommandError` where the data are not what every event of a Dockrion server has.
  func expectObject() throws(CommandError) {
    guard (try? JSONObject(parsing: data)) == nil else { return }
    throw CommandError("the server sent an event whose data are no JSON object: is this a Dockrion server?")
  }
}
