import Foundation
import Testing

/// Bodies as nginx passes them on, in each of its ways, and what must not get past its rules.
@Suite(.ownsMachine) struct NginxFramingTests {
  /// 200 KB, so that it comes in many pieces.
  private static let text = String(repeating: "0123456789", count: 20_000)

  /// A chunked body goes through; the same connection to dockrion then serves another request.
  private func passes(_ nginx: NginxProcess) throws {
    for _ in 0..<3 {
      let connection = try Connection(to: nginx.endpoint)
      let body = Array(#"{"text":"\#(Self.text)"}"#.utf8)
      var sent = "POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      for start in stride(from: 0, to: body.count, by: 7001) {
        let chunk = body[start..<min(body.count, start + 7001)]
        sent +=
          String(chunk.count, radix: 16) + ";a=\"b\"\r\n" + String(decoding: chunk, as: UTF8.self) + "\r\n"
      }
      try connection.send(sent + "0\r\nX-Trailer: a\r\n\r\n")
      let response = try connection.response(to: "POST")
      #expect(response.status == 200)
      #expect(try response.json()["output"]?["text"]?.string == Self.text)
      #expect(try connection.request("GET", "/health").status == 200)
      let small = try connection.request("POST", "/invoke", body: #"{"text":"Hi"}"#)
      #expect(try small.json()["output"]?["text"] == "Hi")
      let stream = try connection.request("POST", "/invoke/stream", body: #"{"text":"Hi"}"#)
      #expect(stream.text.contains("event: complete"))
    }
  }

  @Test func chunkedBodiesPassWhereNginxGathersThem() throws {
    try withServer(dockfile("echo")) { server throws in
      try withNginx(before: server) { nginx throws in try passes(nginx) }
    }
  }

  @Test func chunkedBodiesPassWhereNginxPassesThemOnAtOnce() throws {
    try withServer(dockfile("echo")) { server throws in
      let changes = [
        ("proxy_ignore_client_abort off;", "proxy_ignore_client_abort off; proxy_request_buffering off;")
      ]
      try withNginx(before: server, changes: changes) { nginx throws in try passes(nginx) }
    }
  }

  @Test func chunkedBodiesPassOverHTTP10() throws {
    try withServer(dockfile("echo")) { server throws in
      let changes = [("proxy_http_version 1.1;", "proxy_http_version 1.0;")]
      try withNginx(before: server, changes: changes) { nginx throws in try passes(nginx) }
    }
  }

  /// nginx sees a path `//x/metrics`, which no rule of its file names.
  @Test func noOtherSpellingOfAPathPassesARuleOfNginx() throws {
    try withServer(dockfile("echo")) { server throws in
      // As for a stranger: this machine may read the metrics.
      let changes = [
        ("      allow 127.0.0.1;\n      allow ::1;\n      deny all;", "      deny all;"),
        ("http {", "http {\n  merge_slashes off;"),
      ]
      try withNginx(before: server, changes: changes) { nginx throws in
        func status(_ target: String) throws -> Int {
          let connection = try Connection(to: nginx.endpoint)
          return try connection.request("GET", target, headers: ["Connection: close"]).status
        }
        #expect(try status("/metrics") == 403)
        #expect(try status("//x/metrics") == 400)
        #expect(try status("//metrics") == 400)
        #expect(try status("/x//metrics") == 404)
        #expect(try status("/./metrics") == 403)
        #expect(try status("/metrics/") == 404)
        #expect(try status("/%6detrics") == 403)
        #expect(try status("/health") == 200)
      }
    }
  }
}
