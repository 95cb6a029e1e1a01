import TestSupport
import Testing

@Suite(.sharesMachine) struct SmugglingTests {
  /// One server for all of them: what one leaves behind would show with the next.
  private func withVictim(
    _ body: (ServerProcess, (HostileRequest, [[UInt8]], [Int]) throws -> Void) throws -> Void
  ) throws {
    try withServer(dockfile("echo")) { server throws in
      try body(server) { (request, pieces, before) throws in
        let conversation: RawConversation
        do {
          conversation = try RawConversation(server.connect(), pieces)
        } catch {
          Issue.record("\(request.name): \(error)")
          return
        }
        #expect(conversation.replies.map(\.status) == before + [request.status], "\(request.name)")
        guard let last = conversation.replies.last, last.status == request.status else { return }
        #expect(try last.errorCode() == request.code, "\(request.name)")
        #expect(last["Connection"] == "close", "\(request.name)")
      }
      // A request that was hidden in another's bytes would have started a run.
      #expect(try server.get("/runs").json()["runs"]?.array?.isEmpty == true)
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_requests_total", ["route": "/runs", "method": "POST"]) == 0)
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func eachIsRefusedAloneAndNothingBehindItIsRead() throws {
    try withVictim { _, refuses in
      for request in HostileRequest.all { try refuses(request, [request.bytes], []) }
    }
  }

  /// A refused request counts for the route that it names, where its first line can be trusted, and else for none.
  @Test func aRefusedRequestCountsForTheRouteOfItsTarget() throws {
    let requests = [
      ("POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "/invoke", "POST", 501),
      ("GET /runs/r/events HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", "/runs/{run_id}/events", "GET", 400),
      ("DELETE /runs/r?a=b HTTP/1.1\r\n\r\n", "/runs/{run_id}", "DELETE", 400),
      ("GET /no/where HTTP/1.1\r\nHost: a b\r\n\r\n", "unknown", "GET", 400),
      ("GET //x/metrics HTTP/1.1\r\nHost: a\r\n\r\n", "unknown", "OTHER", 400),
      ("GET /metrics HTTP/3.0\r\nHost: a\r\n\r\n", "unknown", "OTHER", 400),
    ]
    try withServer(dockfile("echo")) { server throws in
      for (bytes, route, method, status) in requests {
        func count() throws -> Double {
          try server.metrics().sum(
            "dockrion_requests_total", ["route": route, "method": method, "status": "\(status)"])
        }
        let before = try count()
        let conversation = try RawConversation(server.connect(), [Array(bytes.utf8)], method: method)
        #expect(conversation.replies.map(\.status) == [status], "\(bytes)")
        #expect(try count() == before + 1, "\(bytes)")
      }
    }
  }

  @Test func eachIsRefusedWhenItsBytesComeOneByOne() throws {
    try withVictim { _, refuses in
      for request in HostileRequest.all {
        // What is long is long for its length's sake: its beginning and its end come in one piece each.
        let cut = max(0, request.bytes.count - 200)
        let pieces = (cut > 200 ? [Array(request.bytes[..<cut])] : request.bytes[..<cut].map { [$0] })
        try refuses(request, pieces + request.bytes[cut...].map { [$0] }, [])
      }
    }
  }

  @Test func eachIsRefusedBehindGoodRequestsThatAreAnswered() throws {
    let good = Array(requestText("POST", "/invoke", body: #"{"text":"Hi"}"#).utf8)
    let chunked = Array(
      ("POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "d;a=b\r\n{\"text\":\"Hi\"}\r\n0\r\nX: a\r\n\r\n").utf8)
    try withVictim { _, refuses in
      for request in HostileRequest.all {
        try refuses(request, [good + request.bytes], [200])
        try refuses(request, [good + chunked + good, request.bytes], [200, 200, 200])
      }
    }
  }

  /// Good requests with a few bytes changed, in pieces: as many replies as there are requests in them, then the end.
  @Test func mutatedRequestsAreAnsweredAsOftenAsThereAreRequests() throws {
    let seed = UInt64.random(in: 1...UInt64(UInt32.max))
    let chunked = "POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    let good = [
      requestText("GET", "/health"), requestText("POST", "/invoke", body: #"{"text":"Hi"}"#),
      chunked + "d;a=b\r\n{\"text\":\"Hi\"}\r\n0\r\nX: a\r\n\r\n",
      chunked + "6\r\n{\"text\r\n7\r\n\":\"Hi\"}\r\n0\r\n\r\n",
    ].map { Array($0.utf8) }
    let last = Array(requestText("GET", "/health", headers: ["Connection: close"]).utf8)
    var (refused, answered) = (0, 0)
    try withServer(dockfile("echo")) { server throws in
      for number in 0..<600 as Range<UInt64> {
        var random = SplitMix64(state: seed &+ number &* 0x9E37_79B9_7F4A_7C15)
        var bytes = (0..<4).flatMap { _ in good.randomElement(using: &random) ?? [] }
        Conversation.mutate(&bytes, &random)
        bytes += last
        let expected = FramingRun([bytes[...]])
        // Of a body that is longer now, the rest would be waited for: the last request has become a part of it.
        let before = FramingRun([bytes.dropLast(last.count)])
        let isWhole = expected.requests == before.requests + 1 && expected.waiting.isEmpty
        guard expected.isOver || isWhole else { continue }
        let cut = Int.random(in: 1..<bytes.count, using: &random)
        let conversation = try RawConversation(
          server.connect(), [Array(bytes[..<cut]), Array(bytes[cut...])], method: "GET")
        let statuses = conversation.replies.map(\.status)
        let what = "seed \(seed), number \(number): \(statuses), \(expected.requests)"
        if conversation.replies.dropLast().allSatisfy({ $0["Connection"] != "close" }),
          statuses.count == expected.requests
        {
          answered += statuses.count
          if let status = expected.refusalStatus {
            refused += 1
            #expect(statuses.last == status, "\(what)")
          }
        } else {
          // One of them asked for the end before.
          #expect(statuses.count < expected.requests, "\(what)")
          #expect(conversation.replies.last?["Connection"] == "close", "\(what)")
        }
      }
    }
    #expect(refused > 100 && answered > 500, "seed \(seed): \(refused) refused, \(answered) answered")
  }
}
