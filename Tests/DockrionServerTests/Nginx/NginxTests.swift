import Foundation
import Testing

/// `config/nginx.conf` with a real nginx in front of a real server.
@Suite(.ownsMachine) struct NginxTests {
  private static let slow = #"{"tokens":40,"interval_ms":50,"stamp":true}"#

  /// The longest time from a token's emit, which its text says, to its arrival.
  private func longestDelay(_ events: [Event]) throws -> Double {
    let delays = try events.filter { $0.type == "token" }.map { event in
      let match = try #require(event.data.firstMatch(of: /"t=(\d+)/))
      let stamp = try #require(UInt64(match.1))
      return Double(event.arrival - stamp) / 1e9
    }
    #expect(delays.count == 40)
    return try #require(delays.max())
  }

  @Test func noTokenIsHeldBackOverHTTP1() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let direct = try EventStream(
          on: Connection(to: nginx.endpoint),
          request: requestText("POST", "/invoke/stream", headers: ["Accept-Encoding: gzip"], body: Self.slow))
        #expect(direct.head["Content-Encoding"] == nil)
        // The agent takes two seconds: held back, the first tokens would come two seconds late.
        #expect(try longestDelay(direct.remainingEvents()) < 1)
        let run = try server.startRun(Self.slow)
        let managed = try EventStream(
          on: Connection(to: nginx.endpoint), request: requestText("GET", "/runs/\(run)/events"))
        #expect(try longestDelay(managed.remainingEvents()) < 1)
      }
    }
  }

  @Test func noTokenIsHeldBackOverHTTP2() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let stream = try CurlStream(
          "https://localhost:\(nginx.tlsPort)/invoke/stream", certificate: nginx.certificate, body: Self.slow)
        let events = try stream.remainingEvents()
        #expect(stream.httpVersion == "2")
        #expect(events.map(\.sequence) == Array(1...42))
        #expect(try longestDelay(events) < 1)
      }
    }
  }

  @Test func aClientThatGoesCancelsTheAgent() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let body = #"{"tokens":1,"hang":true}"#
        func agents() throws -> Double { try server.metrics().sum("dockrion_active_runs") }
        let plain = try EventStream(
          on: Connection(to: nginx.endpoint), request: requestText("POST", "/invoke/stream", body: body))
        _ = try plain.events(through: "token")
        let second = try CurlStream(
          "https://localhost:\(nginx.tlsPort)/invoke/stream", certificate: nginx.certificate, body: body)
        while try second.event()?.type != "token" {}
        #expect(try agents() == 2)
        plain.connection.close()
        #expect(try eventually(within: 5) { try agents() == 1 })
        second.stop()
        #expect(try eventually(within: 5) { try agents() == 0 })
        let waiting = try Connection(to: nginx.endpoint)
        try waiting.send(requestText("POST", "/invoke", body: body))
        #expect(try eventually(within: 5) { try agents() == 1 })
        waiting.close()
        #expect(try eventually(within: 5) { try agents() == 0 })
      }
    }
  }

  /// With buffering nginx would take everything and write it into a file.
  @Test func aClientThatTakesNothingHoldsTheAgentBack() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let body = #"{"tokens":30000,"token_bytes":2000}"#
        let stream = try EventStream(
          on: Connection(to: nginx.endpoint, receiveBuffer: 8192),
          request: requestText("POST", "/invoke/stream", body: body))
        var (last, since) = (0.0, monotonicNanoseconds())
        let settled = try eventually(within: 30) {
          let tokens = try server.metrics().sum("dockrion_events_total", ["type": "token"])
          if tokens != last { (last, since) = (tokens, monotonicNanoseconds()) }
          return seconds(since: since) > 1
        }
        #expect(settled)
        // Of 2,000 bytes each: the buffers of two sockets, 20 MB at the utmost.
        #expect(last > 0 && last < 15_000)
        #expect(try server.metrics().sum("dockrion_active_runs") == 1)
        stream.connection.close()
        #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      }
    }
  }

  @Test func lastEventIDPasses() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let run = try server.completedRun(#"{"tokens":20}"#)
        let plain = try EventStream(
          on: Connection(to: nginx.endpoint),
          request: requestText("GET", "/runs/\(run)/events", headers: ["Last-Event-ID: 7"]))
        #expect(try plain.remainingEvents().map(\.sequence) == Array(8...22))
        let second = try CurlStream(
          "https://localhost:\(nginx.tlsPort)/runs/\(run)/events", certificate: nginx.certificate, body: nil,
          headers: ["Last-Event-ID: 12"])
        #expect(try second.remainingEvents().map(\.sequence) == Array(13...22))
      }
    }
  }

  @Test func aReloadOfNginxLeavesStreamsWhole() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let stream = try EventStream(
          on: Connection(to: nginx.endpoint), request: requestText("POST", "/invoke/stream", body: Self.slow))
        var events = try stream.events(through: "token")
        try nginx.reload()
        let other = try Connection(to: nginx.endpoint).request("GET", "/health")
        #expect(other.status == 200)
        events += try stream.remainingEvents()
        #expect(events.map(\.sequence) == Array(1...42))
      }
    }
  }

  @Test func aRestartOfNginxLeavesAResumableRun() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let run = try server.startRun(#"{"tokens":200,"interval_ms":10}"#)
        func subscribe(after last: Int) throws -> EventStream {
          try EventStream(
            on: Connection(to: nginx.endpoint),
            request: requestText("GET", "/runs/\(run)/events", headers: ["Last-Event-ID: \(last)"]))
        }
        let first = try subscribe(after: 0)
        var seen: [Int] = []
        while seen.count < 50 { seen.append(try #require(try first.event()?.sequence)) }
        nginx.stop(SIGKILL)
        // What was on its way still counts; then the break must show.
        #expect(throws: ClientError.self) {
          while let event = try first.event() { seen.append(event.sequence ?? -1) }
        }
        try nginx.start()
        seen += try subscribe(after: seen.last ?? 0).remainingEvents().compactMap(\.sequence)
        #expect(seen == Array(1...202))
      }
    }
  }

  @Test func aRestartOfDockrionBreaksStreamsOpenlyAndIsOverAtOnce() throws {
    let port = try freePorts(1)[0]
    let arguments = ["--host", "127.0.0.1", "--port", "\(port)"]
    let nginx = try NginxProcess(before: [.tcp(port)])
    defer { nginx.stop() }
    func subscribe(to run: String) throws -> EventStream {
      try EventStream(
        on: Connection(to: nginx.endpoint), request: requestText("GET", "/runs/\(run)/events"))
    }
    let crashing = try ServerProcess(dockfile("scripted"), arguments: arguments)
    let stream = try subscribe(to: crashing.startRun(#"{"tokens":1,"hang":true}"#))
    _ = try stream.events(through: "token")
    crashing.signal(SIGKILL)
    _ = crashing.waitForExit(within: 5)
    // Not an end as after a terminal event: an EventSource then reconnects.
    #expect(throws: ClientError.self) { while try stream.event() != nil {} }
    // While nobody is there: a stream's connection closes without an answer, everything else gets JSON.
    let again = try Connection(to: nginx.endpoint)
    try again.send(requestText("GET", "/runs/x/events"))
    #expect(try again.receive(until: .in(5)).isEmpty)
    let refused = try Connection(to: nginx.endpoint).request("POST", "/invoke", body: "{}")
    #expect(refused.status == 503)
    #expect(try refused.errorCode() == "BACKEND_UNAVAILABLE")
    #expect(refused["Retry-After"] == "2")

    try withServer(dockfile("scripted"), arguments: arguments) { server throws in
      let events = try subscribe(to: server.startRun(#"{"tokens":3}"#)).remainingEvents()
      #expect(events.map(\.sequence) == Array(1...5))
    }
  }

  @Test func aThousandStreamsAtOnceArriveWhole() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let request = requestText("POST", "/invoke/stream", body: #"{"tokens":20,"interval_ms":50}"#)
        let streams = ManyStreams(to: nginx.port, requests: Array(repeating: request, count: 1000))
        try streams.run(within: 60) { streams.endedCount == 1000 }
        #expect(try sequences(streams.bodies()).allSatisfy { $0 == Array(1...22) })
      }
    }
  }

  @Test func theSocketServesAsThePortDoes() throws {
    let path = NSTemporaryDirectory() + "/dockrion-\(UUID().uuidString.prefix(8)).sock"
    try withServer(dockfile("scripted"), arguments: ["--unix-socket", path]) { server throws in
      // A worker is another user than the test where that is root.
      chmod(path, 0o666)
      try withNginx(before: server) { nginx throws in
        let stream = try EventStream(
          on: Connection(to: nginx.endpoint),
          request: requestText("POST", "/invoke/stream", body: #"{"tokens":5}"#))
        #expect(try stream.remainingEvents().map(\.sequence) == Array(1...7))
      }
    }
  }

  @Test func theLogNamesTheClientBehindNginx() throws {
    let sections = "expose: {trusted_proxies: [127.0.0.1]}"
    try withServer(
      dockfile("scripted", sections), arguments: ["--host", "127.0.0.1", "--log-level", "debug"]
    ) { server throws in
      try withNginx(before: server) { nginx throws in
        let sent = try curlFromElsewhere(
          nginx, ["-d", #"{"tokens":1}"#, "-H", "X-Forwarded-For: 198.51.100.1"], "/invoke/stream")
        #expect(sent.output.contains("event: complete"))
        #expect(eventually(within: 5) { server.errorOutput.contains("client=127.0.0.2") })
      }
    }
  }

  @Test func pagesOfNginxsOwnHostMayStartAgentsAndOthersMayNot() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        let body = #"{"tokens":1}"#
        func status(_ url: String, origin: String) throws -> String {
          try runProgram(
            "curl",
            [
              "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", nginx.certificate, "--ipv4", "-H",
              "Content-Type: application/json", "-H", "Origin: \(origin)", "-d", body, url,
            ]
          ).output
        }
        let plain = "http://127.0.0.1:\(nginx.port)"
        let encrypted = "https://localhost:\(nginx.tlsPort)"
        #expect(try status(plain + "/invoke", origin: plain) == "200")
        #expect(try status(encrypted + "/invoke/stream", origin: encrypted) == "200")
        #expect(try status(plain + "/invoke", origin: "http://127.0.0.1:1") == "403")
        #expect(try status(encrypted + "/runs", origin: "https://evil.example") == "403")
      }
    }
  }

  @Test func strangersAreLimitedAndKeptFromTheMetrics() throws {
    try withServer(dockfile("scripted")) { server throws in
      try withNginx(before: server) { nginx throws in
        #expect(
          try curlFromElsewhere(nginx, ["-w", "%{http_code}", "-o", "/dev/null"], "/metrics").output == "403")
        #expect(try Connection(to: nginx.endpoint).request("GET", "/metrics").status == 200)
        // The burst is 40; curl asks for 80 in one go.
        let burst = try curlFromElsewhere(
          nginx, ["--parallel", "--parallel-max", "80", "-w", "%{http_code}\n", "-d", #"{"tokens":0}"#],
          "/invoke?_=[1-80]")
        #expect(burst.output.contains(#""code":"RATE_LIMITED""#))
        #expect(burst.output.contains(#""success":true"#))
      }
    }
  }

  /// From 127.0.0.2, which the file does not exempt.
  private func curlFromElsewhere(
    _ nginx: NginxProcess, _ arguments: [String], _ path: String
  ) throws -> (code: Int32, output: String) {
    try runProgram(
      "curl",
      ["-sS", "--interface", "127.0.0.2", "-H", "Content-Type: application/json"] + arguments + [
        "http://127.0.0.1:\(nginx.port)\(path)"
      ])
  }
}
