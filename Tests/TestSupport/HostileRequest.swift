/// A request that two parsers may read differently, what it is answered with, and nothing else.
package struct HostileRequest: Sendable, CustomStringConvertible {
  package let name: String
  package let bytes: [UInt8]
  package var status = 400
  package var code = "VALIDATION_ERROR"

  package var description: String { name }

  /// `tail` stands behind the head: what would be the next request, if the head's length were misread.
  package init(
    _ head: String, _ tail: String = Self.hidden, _ status: Int = 400, _ code: String = "VALIDATION_ERROR"
  ) {
    name = String(head.prefix(120))
    bytes = Array((head + tail).utf8)
    (self.status, self.code) = (status, code)
  }

  /// Started, it shows in `/metrics` and in the list of runs.
  package static let hidden = "POST /runs HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n{\"text\":\"Hi\"}"

  private static let start = "POST /invoke HTTP/1.1\r\nHost: a\r\n"
  private static let chunkedStart = start + "Transfer-Encoding: chunked\r\n\r\n"
  private static let unknownCoding = "NOT_IMPLEMENTED"

  package static let codings: [HostileRequest] =
    ["xchunked", "identity", "gzip", "gzip, chunked", "chunked, gzip"].map {
      HostileRequest(start + "Transfer-Encoding: \($0)\r\n\r\n", hidden, 501, unknownCoding)
    }
    + [
      "\"chunked\"", "chunked\u{b}", "chunked;a=b", "", " ", "chunked\r\n , gzip", "\r\n chunked",
      "chunked, chunked", "chunked\r\nTransfer-Encoding: chunked", ",", "chun ked",
    ]
    .map { HostileRequest(start + "Transfer-Encoding: \($0)\r\n\r\n", hidden) }
    + [
      HostileRequest(
        "POST /invoke HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n" + hidden),
      HostileRequest(start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n" + hidden),
      HostileRequest(start + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "0\r\n\r\n" + hidden),
    ]

  package static let lengths: [HostileRequest] =
    [
      "Content-Length: 13\r\nContent-Length: 50", "Content-Length: 13\r\nContent-Length: 13",
      "Content-Length: 13, 13", "Content-Length: +13", "Content-Length: -1", "Content-Length: 0x0d",
      "Content-Length: 1 3", "Content-Length:", "Content-Length: 13\u{0}junk", "Content-Length: 13;a",
      "Content-Length: \u{b}13", "Content-Length\r\n: 13",
      "Content-Length: 99999999999999999999999\r\nX: \u{1}",
    ].map { HostileRequest(start + $0 + "\r\n\r\n", hidden) }
    + ["99999999999999999999999", "9223372036854775807", "3000000"].map {
      HostileRequest(start + "Content-Length: \($0)\r\n\r\n", hidden, 413, "PAYLOAD_TOO_LARGE")
    }

  package static let names: [HostileRequest] =
    [
      "Content-Length : 40", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
      " Content-Length: 40",
      "\u{0}X: a", "\u{0}", "X\u{0}: a", "X: a\u{0}b", ": a", "No colon", "X(y): a", "X y: a", "\"X\": a",
      "X\u{e9}: a",
      "X: a\u{1}b", "X: a\u{7f}", "X: a\rY: b", "X: a\n", "X: a\nContent-Length: 40", "\r", "X: a\r\r",
    ].map { HostileRequest(start + $0 + "\r\n\r\n", hidden) }

  package static let chunks: [HostileRequest] =
    [
      "+d\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n", "0xd\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n",
      " d\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n", "d zz\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n",
      "d \r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n", "d\u{0}\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n",
      "-0\r\n\r\n", "\r\n\r\n", "0\n\r\n", "0\r\n\n", "g\r\n", ";a=b\r\n", "d;a\u{1}\r\n", "d;a\nb\r\n",
      "d\r\n{\"text\":\"Hi\"}0\r\n\r\n", "d\r\n{\"text\":\"Hi\"}\n0\r\n\r\n",
      "d\r\n{\"text\":\"Hi\"}\r0\r\n\r\n",
      "d\n{\"text\":\"Hi\"}\r\n0\r\n\r\n", "d\r\n{\"text\":\"Hi\"}\r\n\r\n0\r\n\r\n",
      "0000000000000000d\r\n{\"text\":\"Hi\"}\r\n0\r\n\r\n", "fffffffffffffffff\r\n",
      "0\r\nX : a\r\n\r\n", "0\r\n folded\r\n\r\n", "0\r\nX: \u{0}\r\n\r\n", "0\r\nno colon\r\n\r\n",
      "0\r\n\u{0}\r\n\r\n", "0\r\nX: a\n\r\n", "d;" + String(repeating: "e", count: 5000) + "\r\n",
    ].map { HostileRequest(chunkedStart, $0 + hidden) }
    + [
      "ffffffffffffffff\r\n", "7fffffffffffffff\r\n", "80000000\r\n", "d\r\n{\"text\":\"Hi\"}\r\n300000\r\n",
    ].map {
      HostileRequest(chunkedStart, $0 + hidden, 413, "PAYLOAD_TOO_LARGE")
    }
    + [
      HostileRequest(
        chunkedStart, "0\r\n" + String(repeating: "X: abcdefgh\r\n", count: 2000) + "\r\n" + hidden, 431)
    ]

  package static let lines: [HostileRequest] =
    [
      "GET\r\n", "GET /health\r\n", "GARBAGE\r\n", "\u{0}\u{1}\r\n", "GET  /health HTTP/1.1\r\n",
      "GET /health  HTTP/1.1\r\n",
      "GET /health HTTP/1.1 \r\n", " GET /health HTTP/1.1\r\n", "GET\t/health HTTP/1.1\r\n",
      "GET /he\talth HTTP/1.1\r\n",
      "GET /he\u{0}alth HTTP/1.1\r\n", "GET /he alth HTTP/1.1\r\n", "GET /health HTTP/2.0\r\n",
      "GET /health HTTP/0.9\r\n",
      "GET /health HTTP/1.10\r\n", "GET /health http/1.1\r\n", "GET /health HTTP/1\r\n",
      "GET /health HTTP/1.1\n",
      "GET /health HTTP/11\r\n", "G@T /health HTTP/1.1\r\n", "GET /health\u{7f} HTTP/1.1\r\n",
      "GET /a\rb HTTP/1.1\r\n",
      "GET //x/health HTTP/1.1\r\n", "GET //health HTTP/1.1\r\n", "GET /health#a HTTP/1.1\r\n",
      "GET * HTTP/1.1\r\n",
      "GET health HTTP/1.1\r\n", "GET ? HTTP/1.1\r\n", "GET a:80 HTTP/1.1\r\n", "CONNECT a:80 HTTP/1.1\r\n",
      "GET https://a/health HTTP/1.1\r\n", "GET ftp://a/health HTTP/1.1\r\n", "GET http:/health HTTP/1.1\r\n",
      "GET http:///health HTTP/1.1\r\n", "GET http://u@a/health HTTP/1.1\r\n",
      "GET http://a//health HTTP/1.1\r\n",
      "GET http://a:b/health HTTP/1.1\r\n",
    ].map { HostileRequest($0 + "Host: a\r\n\r\n", hidden) }

  package static let hosts: [HostileRequest] =
    [
      "", "Host: a\r\nHost: b\r\n", "Host: a\r\nHost: a\r\n", "Host:\r\n", "Host: a b\r\n", "Host: a/b\r\n",
      "Host: a:b\r\n",
      "Host: a:99999\r\n", "Host: u@a\r\n", "Host: [::1\r\n", "Host: [::g]\r\n", "Host: a,b\r\nX: \u{1}\r\n",
      "Host: a\"b\r\n",
      "Host: http://a\r\n", "Host: :80\r\n", "Host: a?b\r\n", "Host: a\\b\r\n", "Host: [::1]x\r\n",
      "Host: %zz\r\n",
    ].map { HostileRequest("GET /health HTTP/1.1\r\n\($0)\r\n", hidden) }

  package static let fields: [HostileRequest] =
    [
      "Content-Type: application/json\r\nContent-Type: text/plain",
      "Authorization: Bearer a\r\nAuthorization: Bearer b",
      "Idempotency-Key: a\r\nIdempotency-Key: b", "X-API-Key: a\r\nX-API-Key: b",
      "Origin: http://a\r\nOrigin: http://b",
    ].map { HostileRequest(start + $0 + "\r\nContent-Length: 2\r\n\r\n", "{}" + hidden) }
    + [
      HostileRequest(start + "Expect: rain\r\nContent-Length: 2\r\n\r\n", hidden, 417),
      HostileRequest(start + String(repeating: "X: a\r\n", count: 300) + "\r\n", hidden, 431),
      HostileRequest(start + "X: " + String(repeating: "a", count: 17_000) + "\r\n\r\n", hidden, 431),
      HostileRequest("GET /" + String(repeating: "a", count: 17_000), hidden, 431),
    ]

  package static let all = codings + lengths + names + chunks + lines + hosts + fields
}
