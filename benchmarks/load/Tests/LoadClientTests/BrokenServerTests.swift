import Foundation
import LoadClient
import Testing

/// Answers every connection with the same bytes.
private final class FixedServer: Sendable {
  let target: Target
  private let listener: Int32

  init(_ reply: String) throws {
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listener = self.listener
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, size) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &size) == 0
      }
    }
    try #require(bound)
    target = .tcp(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
    let bytes = Array(reply.utf8)
    Thread.detachNewThread {
      var request = [UInt8](repeating: 0, count: 4096)
      while case let client = accept(listener, nil, nil), client >= 0 {
        _ = recv(client, &request, 4096, 0)
        _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        close(client)
      }
    }
  }

  deinit {
    shutdown(listener, Int32(SHUT_RDWR))
    close(listener)
  }
}

/// What a server that breaks its word does to the figures.
@Suite struct BrokenServerTests {
  private func event(_ type: String, _ sequence: Int, _ fields: String = "") -> String {
    "event: \(type)\ndata: {\"request_id\":\"r\",\"type\":\"\(type)\",\"sequence\":\(sequence)\(fields)}\n\n"
  }

  private func measure(_ events: String, cut: Bool = false) throws -> Report {
    let size = String(events.utf8.count, radix: 16)
    let server = try FixedServer(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "\(size)\r\n\(events)\r\n" + (cut ? "" : "0\r\n\r\n"))
    let report = Report(scenario: "test", description: "test", command: "test")
    var bench = try Bench(
      server.target, pid: nil, progress: Progress(quiet: true), seconds: 10, report: report)
    var script = Script()
    script.tokens = 2
    try bench.manyStreams(script, count: 3, managed: false)
    return bench.report
  }

  @Test func aWholeStreamGivesFigures() throws {
    let report = try measure(
      event("started", 1) + event("token", 2, ",\"content\":\"tok0 \"")
        + event("token", 3, ",\"content\":\"tok1 \"") + event("complete", 4))
    #expect(!report.isVoid)
    #expect(report.figures.first { $0.name == "events" }?.value == 12)
  }

  @Test func aLostEventMakesThemVoid() throws {
    let report = try measure(event("started", 1) + event("token", 3) + event("complete", 4))
    #expect(report.violationCount == 3)
    #expect(report.violations[0].hasSuffix("lost: events 2…2"))
  }

  @Test func aDoubledEventMakesThemVoid() throws {
    let report = try measure(
      event("started", 1) + event("token", 2) + event("token", 2) + event("token", 3) + event("complete", 4))
    #expect(report.violations.first?.hasSuffix("event 2 again or late, after 2") == true)
  }

  @Test func aTokenTooFewMakesThemVoid() throws {
    let report = try measure(event("started", 1) + event("token", 2) + event("complete", 3))
    #expect(report.violations.first?.hasSuffix("1 tokens instead of 2") == true)
  }

  @Test func aStreamThatIsCutMakesThemVoid() throws {
    let report = try measure(
      event("started", 1) + event("token", 2) + event("token", 3) + event("complete", 4), cut: true)
    #expect(report.violations.first?.hasSuffix("closed in the middle of the body") == true)
  }
}
