import Foundation

/// What one hostile client says, and how it leaves; a function of its seed.
package struct Conversation {
  package enum Ending: CaseIterable { case close, reset, halfClose, neverRead }

  package private(set) var requestCount = 0
  /// What is sent, each with a send of its own; none is empty.
  package let pieces: [[UInt8]]
  package let ending: Ending
  /// Bytes of replies after which the client leaves.
  package let bytesWanted: Int
  /// Seconds after which it leaves anyhow.
  package let patience: Double

  package init(seed: UInt64) {
    var random = SplitMix64(state: seed)
    var bytes: [UInt8] = []
    let pipeline = random.chance(0.2) ? Int.random(in: 2...12, using: &random) : 1
    for _ in 0..<pipeline {
      bytes += Self.request(&random)
      requestCount += 1
    }
    if random.chance(0.1) { bytes = Array(bytes.prefix(.random(in: 1...bytes.count, using: &random))) }
    pieces = Self.cut(bytes, &random)
    ending = Ending.allCases.randomElement(using: &random) ?? .close
    bytesWanted = [1, 12, 500, 5000, Int.max].randomElement(using: &random) ?? 1
    patience =
      random.chance(0.05) ? .random(in: 0...1, using: &random) : .random(in: 0...0.05, using: &random)
  }

  private static func cut(_ bytes: [UInt8], _ random: inout SplitMix64) -> [[UInt8]] {
    let largest = random.chance(0.5) ? bytes.count : random.chance(0.1) ? 1 : max(1, bytes.count / 5)
    var (pieces, start): ([[UInt8]], Int) = ([], 0)
    while start < bytes.count {
      let count = min(.random(in: 1...max(1, largest), using: &random), bytes.count - start)
      // Byte by byte only for a while: the rest of a long request goes as one.
      let end = pieces.count > 60 ? bytes.count : start + count
      pieces.append(Array(bytes[start..<end]))
      start = end
    }
    return pieces
  }

  // MARK: Requests

  private static func request(_ random: inout SplitMix64) -> [UInt8] {
    if random.chance(0.03) { return (0..<Int.random(in: 1...300, using: &random)).map { _ in random.byte() } }
    // Enough requests must be good for streams and runs to be there when others are not.
    let isGood = random.chance(0.4)
    var target = targets.randomElement(using: &random) ?? "/"
    target.replace("ID", with: ids.randomElement(using: &random) ?? "a")
    if random.chance(0.2) { target += queries.randomElement(using: &random) ?? "" }
    let isPost =
      target.hasPrefix("/invoke") || target.hasPrefix("/runs?") || target == "/runs"
      || (!isGood && random.chance(0.2))
    var method = isPost ? "POST" : "GET"
    var version = "1.1"
    if !isGood, random.chance(0.1) { method = methods.randomElement(using: &random) ?? "" }
    if !isGood, random.chance(0.1) { version = versions.randomElement(using: &random) ?? "" }
    var lines = ["\(method) \(target) HTTP/\(version)", "Host: fuzz.local"]
    if !isGood {
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        lines.append(headers.randomElement(using: &random) ?? "")
      }
      if random.chance(0.02) { lines += (0..<400).map { "X-\($0): \(String(repeating: "v", count: 30))" } }
    }
    var payload: [UInt8] = []
    if isPost || (!isGood && random.chance(0.05)) {
      payload =
        isGood ? Array((payloads.randomElement(using: &random) ?? "{}").utf8) : Self.payload(&random)
      if random.chance(0.3) {
        lines.append("Transfer-Encoding: chunked")
        payload = chunked(payload, isGood: isGood, &random)
      } else {
        let isRight = isGood || random.chance(0.9)
        let offsets = isRight ? [0] : [-1, 1, 100, -payload.count, 1 << 40, -(1 << 40)]
        lines.append("Content-Length: \(payload.count + (offsets.randomElement(using: &random) ?? 0))")
      }
    }
    var head = Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    if !isGood, random.chance(0.5) { mutate(&head, &random) }
    return head + payload
  }

  private static func payload(_ random: inout SplitMix64) -> [UInt8] {
    switch Int.random(in: 0..<20, using: &random) {
    case 0: return Array(repeating: UInt8(ascii: "["), count: .random(in: 1...60_000, using: &random))
    case 1: return Array(String(repeating: #"{"a":"#, count: .random(in: 1...12_000, using: &random)).utf8)
    case 2: return Array(repeating: UInt8(ascii: "x"), count: .random(in: 60_000...140_000, using: &random))
    case 3: return (0..<Int.random(in: 0...200, using: &random)).map { _ in random.byte() }
    default:
      var bytes = Array((payloads.randomElement(using: &random) ?? "{}").utf8)
      if random.chance(0.5) { mutate(&bytes, &random) }
      return bytes
    }
  }

  private static func chunked(_ payload: [UInt8], isGood: Bool, _ random: inout SplitMix64) -> [UInt8] {
    var (bytes, start): ([UInt8], Int) = ([], 0)
    while start < payload.count {
      let count = min(Int.random(in: 1...max(1, payload.count), using: &random), payload.count - start)
      bytes += Array(
        (String(count, radix: 16) + (random.chance(0.1) ? ";extension=\"a\"" : "") + "\r\n").utf8)
      bytes += payload[start..<(start + count)] + [13, 10]
      start += count
    }
    bytes += Array((!isGood && random.chance(0.1) ? "0\r\nTrailer: a\r\n\r\n" : "0\r\n\r\n").utf8)
    if isGood { return bytes }
    if random.chance(0.2) {
      let size = [
        "+1", "0\n", "0 ", "0;\u{1}", "-1", "ffffffffffffffff", "7fffffffffffffff", "80000000", "0x10", " 5",
        "", "g", "1 1",
      ]
      bytes.insert(contentsOf: Array(((size.randomElement(using: &random) ?? "") + "\r\n").utf8), at: 0)
    }
    if random.chance(0.3) { mutate(&bytes, &random) }
    return bytes
  }

  /// Changes a few places of it.
  package static func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      let end = min(bytes.count, at + .random(in: 1...16, using: &random))
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[at] = random.byte()
      case 1: bytes[at] ^= 1 << UInt8.random(in: 0...7, using: &random)
      case 2: bytes.removeSubrange(at..<end)
      case 3: bytes.insert(contentsOf: Array(bytes[at..<end]), at: at)
      case 4: bytes.insert(contentsOf: Array((fragments.randomElement(using: &random) ?? "").utf8), at: at)
      default:
        bytes.replaceSubrange(at..<end, with: Array((fragments.randomElement(using: &random) ?? "").utf8))
      }
    }
  }

  // MARK: What requests are made of

  private static let methods = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "PRI", "",
  ]

  private static let ids = ["a", "b", "c", "d", "e", "f", "g", "h"]

  private static let versions = ["1.0", "0.9", "2.0", "1.10", "", "9999999999.1"]

  private static let targets = [
    "/", "/health", "/ready", "/metrics", "/info", "/schema", "/openapi.json", "/invoke", "/invoke",
    "/invoke",
    "/invoke/stream", "/invoke/stream", "/invoke/stream", "/invoke/stream", "/runs", "/runs",
    "/runs?run_id=ID",
    "/runs?run_id=ID", "/runs?run_id=ID", "/runs/ID", "/runs/ID/events", "/runs/ID/events", "/runs/ID/events",
    "/runs/ID/events?timeout=1", "/runs/ID/events?from_sequence=2&events=token", "/runs/%61/events",
    "/runs//events",
    "/nowhere", "//health", "http://fuzz.local/health",
    "http://fuzz.local", "http:///health", "https://fuzz.local/", "fuzz.local:80", "*", "/%00",
    "/runs/%2e%2e/events", "/runs/\u{e9}",
    "?", "#",
  ]

  private static let queries = [
    "?run_id=a", "?run_id=b", "?run_id=", "?run_id=%00", "?timeout=1", "?timeout=0",
    "?timeout=99999999999999999999",
    "?from_sequence=1", "?from_sequence=9223372036854775807", "?from_sequence=-1", "?events=token",
    "?events=minimal",
    "?events=,,,", "?events=custom:%F0%9F%98%80", "?limit=1", "?limit=501", "?cursor=9223372036854775807",
    "?status=running", "?reason=%0d%0a%0d%0a", "?&&==&%", "?a=%zz",
  ]

  private static let headers = [
    "Content-Type: application/json", "Content-Type: text/plain", "Content-Type: ;", "Connection: close",
    "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c", "Expect: 100-continue", "Expect: rain",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: -5", "Last-Event-ID: 1", "Last-Event-ID: 18446744073709551616", "Last-Event-ID: x",
    "X-Request-Id: r1", "X-Request-Id: \u{7f}", "Idempotency-Key: k", "Idempotency-Key: ",
    "Origin: http://a.test",
    "Access-Control-Request-Method: POST", "Authorization: Bearer x", "Range: bytes=0-1", " folded: a",
    "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked;a=b", "Transfer-Encoding:\tchunked", "Host: b",
    "Content-Length : 5", "Content-Length: 5\u{0}", "\u{0}X: a", "X: a\u{b}", "Connection: x, close",
    "Content-Encoding: gzip", "Content-Type:\tapplication/json\t; a", "Content-Type: application/json",
    "No colon", ": no name", "X-Long: \(String(repeating: "l", count: 17_000))", "Accept-Encoding: gzip",
  ]

  private static let payloads = [
    "{}", #"{"tokens":3}"#, #"{"tokens":5,"interval_ms":3}"#, #"{"tokens":1,"hang":true}"#,
    #"{"tokens":300,"token_bytes":200}"#, #"{"tokens":0,"output":{"text":"\u0000\ud83d\ude00\u2028"}}"#,
    #"{"fail":"on purpose","code":"X"}"#, #"{"tokens":2,"block_ms":20}"#, #"{"tokens":1e999}"#,
    #"{"tokens":-1}"#,
    #"{"emit":[{"type":"progress","step":"s","progress":7},{"type":"custom","name":"mine","data":{"a":[1,null]}}]}"#,
    #"{"emit":[{"type":"sleep","ms":5},{"type":"checkpoint","name":"\ud800","data":{}}],"stamp":true}"#,
    #"{"interval_ms":0.0001,"tokens":100}"#, #"{"text":"Hello, world!"}"#, "[]", "null", "\u{feff}{}",
    #"{"a":1,"a":2}"#, #"{"output":{"deep":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}}"#,
  ]

  private static let fragments = [
    "\r\n", "\n", "\r", "\r\n\r\n", "\0", " ", "\t", ":", "%", "%00", "%zz", "\"", "\\", "{", "}", "[", "]",
    ",",
    "-1", "0", "99999999999999999999", "1e308", "\u{e9}", "\u{1F600}", "HTTP/1.1", "chunked", "Host: b\r\n",
    "GET /health HTTP/1.1\r\nHost: a\r\n\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n",
    "0\r\n\r\n", String(repeating: "A", count: 5000),
  ]
}
