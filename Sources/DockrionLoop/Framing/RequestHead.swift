import DockrionCore
import Glibc

/// Reads a request's head line by line, as its bytes come, and finds out how its body is framed.
///
/// What is read here is what evhttp reads, or it is refused: two parsers that disagree are one request too many.
struct RequestHead {
  enum Body: Equatable {
    case none
    /// Bytes, at least one.
    case length(Int)
    case chunked
  }

  /// Fields that come once, or what one reader takes is not what another takes.
  private struct Once: OptionSet {
    let rawValue: UInt16
    static let host = Once(rawValue: 1)
    static let contentLength = Once(rawValue: 2)
    static let transferEncoding = Once(rawValue: 4)
    static let contentType = Once(rawValue: 8)
    static let authorization = Once(rawValue: 16)
    static let apiKey = Once(rawValue: 32)
    static let idempotencyKey = Once(rawValue: 64)
    static let origin = Once(rawValue: 128)
  }

  /// Bytes of the request line without its CRLF; 0 as long as none has been found good.
  private(set) var requestLineCount = 0
  private(set) var body = Body.none
  /// The head has to be put in other words for evhttp: see `rewritten`.
  private(set) var needsRewriting = false
  private var seen: Once = []
  private var isHTTP10 = false
  private var methodCount = 0
  private var authority: Range<Int>?
  private var contentLength = 0
  private var fields = 0
  private var lineStart = 0
  private var searched = 0

  /// Goes on with a head's bytes, of which more may have come than at the last call; `bytes` begins where it begins.
  ///
  /// - Returns: how many bytes the head has, with the empty line; nil while it is not whole.
  mutating func read(_ bytes: UnsafeRawBufferPointer) throws(FramingRefusal) -> Int? {
    guard let base = bytes.baseAddress else { return nil }
    let count = min(bytes.count, Limits.headerBytesMax)
    if searched == 0, !Octets.isToken(bytes[0]) {
      throw FramingRefusal("request line", bytes.first(1), "does not begin a method")
    }
    while searched < count, let found = memchr(base + searched, 10, count - searched) {
      let end = base.distance(to: UnsafeRawPointer(found))
      let line = UnsafeRawBufferPointer(start: base + lineStart, count: end - lineStart)
      searched = end + 1
      lineStart = searched
      let content = try Self.withoutEnd(line)
      if requestLineCount == 0 {
        try readRequestLine(content)
        requestLineCount = content.count
      } else if content.isEmpty {
        try finish()
        return searched
      } else {
        try readField(content)
      }
    }
    searched = count
    if bytes.count >= Limits.headerBytesMax {
      throw FramingRefusal("the request's head has more than \(Limits.headerBytesMax) bytes", status: 431)
    }
    return nil
  }

  /// A line up to its CRLF. A bare LF, which a recipient may accept (RFC 9112, 2.2), ends a line for some and not for
  /// others.
  @inline(__always)
  static func withoutEnd(_ line: UnsafeRawBufferPointer) throws(FramingRefusal) -> UnsafeRawBufferPointer {
    guard line.count > 0, line[line.count &- 1] == Octets.carriageReturn else {
      throw FramingRefusal("line", line, "ends with LF alone; it must end with CR LF")
    }
    return line.part(0, line.count - 1)
  }

  // MARK: The request line

  // "HTTP/1." in the order of a little-endian word.
  private static let versionStart: UInt64 = 0x2E_312F_5054_5448
  private static let versionMask: UInt64 = 0xFF_FFFF_FFFF_FFFF

  /// request-line = method SP request-target SP HTTP-version                     RFC 9112, 3
  private mutating func readRequestLine(_ line: UnsafeRawBufferPointer) throws(FramingRefusal) {
    // evhttp takes none shorter than this.
    guard line.count >= "GET / HTTP/1.0".utf8.count else {
      throw FramingRefusal("request line", line, "is not METHOD TARGET HTTP/1.1")
    }
    let versionAt = line.count - 8
    let version = UInt64(littleEndian: line.loadUnaligned(fromByteOffset: versionAt, as: UInt64.self))
    let minor = UInt8(version >> 56)
    guard version & Self.versionMask == Self.versionStart, Octets.isDigit(minor),
      line[versionAt - 1] == Octets.space
    else { throw FramingRefusal("request line", line, "does not end in a space and HTTP/1.1 or HTTP/1.0") }
    isHTTP10 = minor == UInt8(ascii: "0")
    var index = 0
    while Octets.isToken(line[index]) { index += 1 }
    methodCount = index
    guard index > 0, line[index] == Octets.space, index < versionAt - 2 else {
      throw FramingRefusal("request line", line, "is not METHOD TARGET HTTP/1.1")
    }
    let target = line.part(index + 1, versionAt - 1)
    guard !Octets.hasForbiddenInTarget(target) else {
      throw FramingRefusal("target", target, "holds a space, a control character or a #")
    }
    let method = line.part(0, index)
    if Octets.same(method, "CONNECT") {
      throw FramingRefusal("method", method, "is for proxies")
    }
    if target[0] == UInt8(ascii: "/"), target.count == 1 || target[1] != UInt8(ascii: "/") { return }
    authority = try RequestTarget.authority(of: target, isOptions: Octets.same(method, "OPTIONS"))
    if authority != nil { needsRewriting = true }
  }

  // MARK: Fields

  private mutating func readField(_ line: UnsafeRawBufferPointer) throws(FramingRefusal) {
    fields += 1
    guard fields <= Limits.headerFieldsMax else {
      throw FramingRefusal("the request has more than \(Limits.headerFieldsMax) header fields", status: 431)
    }
    let nameCount = try Self.checkField(line)
    let name = line.part(0, nameCount)
    var value = line.part(nameCount + 1, line.count)
    // evhttp takes a tab before a value for a part of it.
    if value.count > 1, value[0] == Octets.tab || (value[0] == Octets.space && value[1] <= Octets.space) {
      needsRewriting = true
    }
    switch nameCount {
    case 4 where Octets.isName(name, "host"):
      try once(.host, name)
      value = Octets.trimmed(value)
      guard HostField.isValid(value) else { throw FramingRefusal("Host", value, "is no host") }
    case 6 where Octets.isName(name, "origin"): try once(.origin, name)
    case 6 where Octets.isName(name, "expect"):
      value = Octets.trimmed(value)
      guard isHTTP10 || Octets.equal(value, "100-continue") else {
        throw FramingRefusal("Expect", value, "is not 100-continue", status: 417)
      }
    case 9 where Octets.isName(name, "x-api-key"): try once(.apiKey, name)
    case 12 where Octets.isName(name, "content-type"): try once(.contentType, name)
    case 13 where Octets.isName(name, "authorization"): try once(.authorization, name)
    case 14 where Octets.isName(name, "content-length"):
      try once(.contentLength, name)
      contentLength = try Self.length(Octets.trimmed(value))
    case 15 where Octets.isName(name, "idempotency-key"): try once(.idempotencyKey, name)
    case 17 where Octets.isName(name, "transfer-encoding"):
      try once(.transferEncoding, name)
      try TransferEncoding.check(Octets.trimmed(value))
    default: break
    }
  }

  private mutating func once(_ field: Once, _ name: UnsafeRawBufferPointer) throws(FramingRefusal) {
    guard seen.insert(field).inserted else { throw FramingRefusal("field", name, "comes more than once") }
  }

  /// Checks a field's line, without its CRLF, and returns how long its name is.
  ///
  ///     field-line = field-name ":" OWS field-value OWS                          RFC 9112, 5
  ///     field-name = token                                                       RFC 9110, 5.1
  ///     field-value = *field-content; no CTL but HTAB                            RFC 9110, 5.5
  ///
  /// White space before the colon (RFC 9112, 5.1) and folded lines (5.2) are refused.
  static func checkField(_ line: UnsafeRawBufferPointer) throws(FramingRefusal) -> Int {
    var index = 0
    if let base = line.baseAddress {
      while index < line.count, Octets.isToken(base.load(fromByteOffset: index, as: UInt8.self)) {
        index &+= 1
      }
    }
    guard index > 0, index < line.count, line[index] == UInt8(ascii: ":") else {
      if line[0] == Octets.space || line[0] == Octets.tab {
        throw FramingRefusal("header line", line, "begins with white space: folded lines are not taken")
      }
      throw FramingRefusal("header line", line, "does not begin with a name and its colon")
    }
    guard !Octets.hasControl(line.part(index &+ 1, line.count)) else {
      throw FramingRefusal("header line", line, "holds a control character")
    }
    return index
  }

  /// Content-Length = 1*DIGIT                                                    RFC 9110, 8.6
  ///
  /// - Returns: `Int.max` for what is more than that.
  private static func length(_ value: UnsafeRawBufferPointer) throws(FramingRefusal) -> Int {
    var length = 0
    for byte in value {
      guard Octets.isDigit(byte) else {
        throw FramingRefusal("Content-Length", value, "is not digits and nothing else")
      }
      let (tenfold, overflows) = length.multipliedReportingOverflow(by: 10)
      let (sum, overflowsToo) = tenfold.addingReportingOverflow(Int(byte - 0x30))
      length = overflows || overflowsToo ? .max : sum
    }
    guard !value.isEmpty else { throw FramingRefusal("Content-Length: a number of bytes is missing") }
    return length
  }

  /// What only the whole head shows (RFC 9112, 3.2 and 6.1).
  private mutating func finish() throws(FramingRefusal) {
    guard isHTTP10 || seen.contains(.host) else { throw FramingRefusal("Host: HTTP/1.1 needs this field") }
    if seen.contains(.transferEncoding) {
      guard !seen.contains(.contentLength) else {
        throw FramingRefusal("Transfer-Encoding and Content-Length: a request has one of them at most")
      }
      guard !isHTTP10 else { throw FramingRefusal("Transfer-Encoding: HTTP/1.0 does not know it") }
      body = .chunked
    } else if contentLength > 0 {
      body = .length(contentLength)
    }
  }

  // MARK: For evhttp

  /// Whether evhttp reads a body behind this method; where it does not, it would take the body for a request.
  func parserReadsBody(_ head: UnsafeRawBufferPointer) -> Bool {
    let method = head.part(0, methodCount)
    return Octets.same(method, "POST") || Octets.same(method, "GET") || Octets.same(method, "DELETE")
      || Octets.same(method, "PUT") || Octets.same(method, "PATCH") || Octets.same(method, "OPTIONS")
  }

  /// The head with one space before each value and, for an absolute target, with its path as the target and its
  /// authority as `Host`, which counts more than the field (RFC 9112, 3.2.2).
  ///
  /// - Parameter withoutBody: leaves out what announces a body.
  func rewritten(_ head: UnsafeRawBufferPointer, withoutBody: Bool = false) -> [UInt8] {
    var out = requestLine(head)
    var rest = head.part(requestLineCount + 2, head.count)
    while let end = rest.firstIndex(of: Octets.carriageReturn), end > 0 {
      let line = rest.part(0, end)
      rest = rest.part(end + 2, rest.count)
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
      let name = line.part(0, colon)
      var value = Octets.trimmed(line.part(colon + 1, line.count))
      if let authority, Octets.isName(name, "host") {
        let target = head.part(methodCount + 1, head.count)
        value = UnsafeRawBufferPointer(rebasing: target[authority])
      }
      let announcesBody =
        Octets.isName(name, "content-length") || Octets.isName(name, "transfer-encoding")
        || Octets.isName(name, "expect")
      if withoutBody, announcesBody { continue }
      out += name
      out += ": ".utf8
      out += value
      out += "\r\n".utf8
    }
    out += "\r\n".utf8
    return out
  }

  /// The request line with its CRLF, and a path for an absolute target.
  func requestLine(_ head: UnsafeRawBufferPointer) -> [UInt8] {
    guard let authority else { return Array(head[..<(requestLineCount + 2)]) }
    let method = head[..<methodCount]
    let path = head[(methodCount + 1 + authority.upperBound)..<(requestLineCount - " HTTP/1.1".utf8.count)]
    var out = Array(method) + [Octets.space]
    if path.isEmpty, Octets.same(UnsafeRawBufferPointer(rebasing: method), "OPTIONS") {
      out.append(UInt8(ascii: "*"))
    } else if path.first != UInt8(ascii: "/") {
      out.append(UInt8(ascii: "/"))
    }
    return out + path + " HTTP/1.\(isHTTP10 ? 0 : 1)\r\n".utf8
  }
}
