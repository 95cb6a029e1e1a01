import TestSupport
import Testing

@testable import DockrionLoop

@Suite struct RequestFramingTests {
  private static let post = "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
  private static let chunkedHead = "POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

  /// Requests that are good, and what evhttp is given of them.
  private static let good: [(sent: String, given: String, count: Int)] = [
    (post, post, 1), (post + post + post, post + post + post, 3),
    ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", 1),
    ("GET / HTTP/1.3\r\nHost: a\r\n\r\n", "GET / HTTP/1.3\r\nHost: a\r\n\r\n", 1),
    ("\r\n\r\n" + post + "\r\n" + post, post + post, 2),
    (
      "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" + post,
      "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n" + post, 2
    ),
    (
      "GET http://b:1/x?y=/z HTTP/1.1\r\nhost: a\r\nX: 1\r\n\r\n",
      "GET /x?y=/z HTTP/1.1\r\nhost: b:1\r\nX: 1\r\n\r\n", 1
    ),
    ("GET HTTP://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n", 1),
    ("GET http://b?q HTTP/1.0\r\nHost: a\r\n\r\n", "GET /?q HTTP/1.0\r\nHost: b\r\n\r\n", 1),
    ("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", 1),
    (
      "POST / HTTP/1.1\r\nHost:a\r\nTransfer-Encoding:\t chunked\t \r\nX: \t b\tc \r\n\r\n0\r\n\r\n" + post,
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: b\tc\r\n\r\n0\r\n\r\n" + post, 2
    ),
    (
      chunkedHead + "2;a=b\r\n{}\r\n0 ; c=\"d;e\"\r\nX: a\r\nContent-Length: 5\r\n\r\n" + post,
      chunkedHead + "2\r\n{}\r\n0\r\n\r\n" + post, 2
    ),
    (
      chunkedHead + "0001\r\n{\r\n1\r\n}\r\n000\r\n\r\n", chunkedHead + "0001\r\n{\r\n1\r\n}\r\n000\r\n\r\n",
      1
    ),
    (
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n", 1
    ),
    (
      "DELETE /runs/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n\r\0" + post,
      "DELETE /runs/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\n\r\0" + post, 2
    ),
    (
      "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + post,
      "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" + post, 2
    ),
    (
      "GET /\u{e9}[]|{}\\^\"<> HTTP/1.1\r\nHost: a_b.c-d%20\r\nX:\r\nY: \u{e9}\r\n\r\n",
      "GET /\u{e9}[]|{}\\^\"<> HTTP/1.1\r\nHost: a_b.c-d%20\r\nX:\r\nY: \u{e9}\r\n\r\n", 1
    ),
  ]

  @Test func goodRequestsPassAndOnlyWhatEvhttpWouldMisreadIsPutInOtherWords() {
    for (sent, given, count) in Self.good {
      let run = FramingRun(sent)
      #expect(run.text == given)
      #expect(run.requests == count, "\(sent)")
      #expect(run.refusal == nil && !run.isOver && run.waiting.isEmpty, "\(sent)")
    }
  }

  @Test func whereTheBytesAreCutMakesNoDifference() {
    let texts =
      Self.good.map { Array($0.sent.utf8) } + HostileRequest.all.map(\.bytes).filter { $0.count < 500 }
    for bytes in texts {
      let whole = FramingRun([bytes[...]])
      for cut in 1..<bytes.count {
        #expect(
          FramingRun([bytes[..<cut], bytes[cut...]]) == whole,
          "\(String(decoding: bytes, as: UTF8.self)) \(cut)")
      }
      #expect(FramingRun(bytes.indices.map { bytes[$0...$0] }) == whole)
    }
  }

  @Test func whatIsGivenToEvhttpIsGoodItself() {
    for (_, given, count) in Self.good {
      let again = FramingRun(given)
      #expect(again.text == given && again.requests == count)
    }
  }

  @Test func eachHostileRequestIsRefusedWithItsStatus() {
    for request in HostileRequest.all {
      let run = FramingRun([request.bytes[...]])
      #expect(run.refusal?.status == request.status, "\(request.name): \(run.refusal?.message ?? "passed")")
      #expect(run.requests == 1 && run.isOver && run.waiting.isEmpty, "\(request.name)")
      #expect(!run.text.contains("POST /runs"), "\(request.name): \(run.text)")
      // Evhttp needs a whole request to answer, and nothing behind it.
      #expect(run.text.hasSuffix("\r\n\r\n"), "\(request.name): \(run.text)")
    }
  }

  @Test func aBodyThatEvhttpWouldNotReadEndsTheConnection() {
    for method in ["HEAD", "TRACE", "UNHEARD", "get"] {
      let head = "\(method) / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
      let run = FramingRun(head + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(run.text == head)
      #expect(run.requests == 1 && run.refusal == nil && run.isOver, "\(method)")
    }
  }

  @Test func aBodyBeyondTheBoundIsRefusedAndItsHeadKept() {
    let head = "POST /runs HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n"
    let run = FramingRun(head + "Expect: 100-continue\r\nContent-Length: 2097153\r\n\r\n")
    #expect(run.refusal?.status == 413)
    #expect(run.text == head + "\r\n")
    #expect(FramingRun(head + "Content-Length: 2097152\r\n\r\n").refusal == nil)
    let chunks = [Self.chunkedHead, "8\r\n01234567\r\n", "2\r\n01\r\n"].map { ArraySlice($0.utf8) }
    #expect(FramingRun(chunks, bodyBytesMax: 10).refusal == nil)
    let over = FramingRun(chunks, bodyBytesMax: 9)
    #expect(over.refusal?.status == 413)
    #expect(over.text == Self.chunkedHead + "8\r\n01234567\r\n0\r\n\r\n")
  }

  @Test func aRefusalSaysWhatIsWrongWithWhat() {
    for (request, words) in [
      (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
        ["Transfer-Encoding", "\"gzip\"", "chunked"]
      ),
      ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", ["Content-Length", "\"+5\"", "digits"]),
      ("GET //x/metrics HTTP/1.1\r\nHost: a\r\n\r\n", ["target", "\"//x/metrics\"", "one"]),
      ("GET /metrics HTTP/1.1\r\nHost: a b\r\n\r\n", ["Host", "\"a b\""]),
      ("GET /metrics HTTP/1.1\n", ["LF", "CR LF"]), ("GET /metrics HTTP/2.0\r\n", ["HTTP/2.0", "HTTP/1.1"]),
    ] {
      let message = FramingRun(request).refusal?.message ?? ""
      for word in words { #expect(message.contains(word), "\(message)") }
    }
  }

  /// Whatever is sent, in whatever pieces: the same comes of it, and what evhttp gets is good.
  @Test func mutatedRequestsComeToTheSameHoweverTheyAreCut() {
    let seed = UInt64.random(in: 1...UInt64(UInt32.max))
    var (refused, served) = (0, 0)
    for number in 0..<3000 as Range<UInt64> {
      var random = SplitMix64(state: seed &+ number &* 0x9E37_79B9_7F4A_7C15)
      let bytes = Array(Conversation(seed: seed &+ number).pieces.joined())
      let whole = FramingRun([bytes[...]])
      var (pieces, start): ([ArraySlice<UInt8>], Int) = ([], 0)
      while start < bytes.count {
        let end = min(bytes.count, start + .random(in: 1...max(1, bytes.count / 3), using: &random))
        pieces.append(bytes[start..<end])
        start = end
      }
      guard FramingRun(pieces) == whole else {
        Issue.record("seed \(seed), number \(number): \(String(decoding: bytes.prefix(300), as: UTF8.self))")
        return
      }
      if whole.refusal != nil {
        refused += 1
      } else {
        let again = FramingRun([whole.out[...]])
        #expect(again.out == whole.out && again.requests == whole.requests, "seed \(seed), number \(number)")
        served += whole.requests
      }
    }
    #expect(refused > 300 && served > 300, "seed \(seed): \(refused) refused, \(served) served")
  }
}
