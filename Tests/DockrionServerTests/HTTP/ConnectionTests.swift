import Testing

@Suite(.sharesMachine) struct ConnectionTests {
  @Test func aConnectionServesManyRequestsOfEveryKind() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      for index in 0..<50 {
        let body = #"{"text":"round \#(index)"}"#
        let invoked = try connection.request("POST", "/invoke", body: body)
        #expect(try invoked.json()["output"]?["text"]?.string == "round \(index)")
        #expect(try connection.request("GET", "/health").status == 200)
        #expect(try connection.request("POST", "/runs", body: body).status == 202)
        #expect(try connection.request("GET", "/nowhere").status == 404)
      }
    }
  }

  @Test func aConnectionServesRequestsAfterAStreamHasEnded() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      for _ in 0..<3 {
        let stream = try EventStream(
          on: connection, request: requestText("POST", "/invoke/stream", body: #"{"text":"one two"}"#))
        #expect(stream.isChunked)
        #expect(try stream.remainingEvents().last?.type == "complete")
        #expect(try connection.request("GET", "/health").status == 200)
      }
    }
  }

  @Test func connectionCloseIsHonoured() throws {
    try withServer(dockfile("echo")) { server throws in
      for (method, path, body) in [
        ("GET", "/health", nil), ("POST", "/invoke", #"{"text":"Hi"}"#),
        ("POST", "/invoke/stream", #"{"text":"Hi"}"#), ("POST", "/runs", #"{"text":"Hi"}"#),
      ] {
        let connection = try server.connect()
        let response = try connection.request(method, path, headers: ["Connection: close"], body: body)
        #expect(response.status < 300)
        #expect(connection.isClosedByServer(within: 5), "\(path)")
      }
    }
  }

  @Test func pipelinedRequestsAreAnsweredInOrder() throws {
    try withServer(dockfile("scripted")) { server throws in
      let connection = try server.connect()
      // The first is the slowest to answer, so an order by readiness would show.
      let slow = #"{"tokens":2,"interval_ms":100,"output":{"is":"slow"}}"#
      try connection.send(
        requestText("POST", "/invoke", body: slow) + requestText("GET", "/nowhere")
          + requestText("POST", "/invoke", body: #"{"tokens":0,"output":{"is":"quick"}}"#)
          + requestText("GET", "/health"))
      #expect(try connection.response(to: "POST").json()["output"]?["is"] == "slow")
      #expect(try connection.response(to: "GET").status == 404)
      #expect(try connection.response(to: "POST").json()["output"]?["is"] == "quick")
      #expect(try connection.response(to: "GET").json()["status"] == "ok")
    }
  }

  @Test func aRequestPipelinedBehindAStreamIsAnsweredAfterIt() throws {
    try withServer(dockfile("scripted")) { server throws in
      let connection = try server.connect()
      let stream = try EventStream(
        on: connection,
        request: requestText("POST", "/invoke/stream", body: #"{"tokens":5,"interval_ms":20}"#)
          + requestText("GET", "/health"))
      #expect(try stream.remainingEvents().count == 7)
      let bytesBehind = try connection.response(to: "GET")
      #expect(bytesBehind.status == 200)
    }
  }

  @Test func manyPipelinedStreamsEachEndBeforeTheNextBegins() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      for index in 0..<20 {
        try connection.send(
          requestText(
            "POST", "/invoke/stream", headers: ["X-Request-Id: p\(index)"], body: #"{"text":"a b"}"#))
      }
      for index in 0..<20 {
        let response = try connection.response(to: "POST")
        #expect(response["X-Request-Id"] == "p\(index)")
        var parser = FrameParser()
        let events = try parser.feed(response.body, arrival: 0).compactMap(\.event)
        expectWholeStream(events, idField: "request_id", id: "p\(index)")
      }
    }
  }

  @Test func aRequestSentByteByByteIsUnderstood() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      try connection.sendByteByByte(requestText("POST", "/invoke", body: #"{"text":"slow but sure"}"#))
      let response = try connection.response(to: "POST")
      #expect(try response.json()["output"]?["text"] == "slow but sure")
      try connection.sendByteByByte(requestText("POST", "/invoke/stream", body: #"{"text":"x"}"#))
      #expect(try connection.response(to: "POST").status == 200)
    }
  }

  @Test func aChunkedRequestBodyIsUnderstood() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      try connection.send(
        "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "6\r\n{\"text\r\n7\r\n\":\"Hi\"}\r\n0\r\n\r\n")
      let response = try connection.response(to: "POST")
      #expect(try response.json()["output"]?["text"] == "Hi")
      #expect(try connection.request("GET", "/health").status == 200)
    }
  }

  @Test func extensionsOfChunksAreIgnoredAndTrailersAreNoHeaders() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      for _ in 0..<2 {
        try connection.send(
          "POST /invoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "6;a=b\r\n{\"text\r\n7 ; c=\"d;e\";f\r\n\":\"Hi\"}\r\n0;g\r\n"
            + "Connection: close\r\nContent-Type: text/plain\r\n\r\n")
        let response = try connection.response(to: "POST")
        #expect(try response.json()["output"]?["text"] == "Hi")
        #expect(response["Connection"] == nil)
      }
    }
  }

  @Test func aBodyOfAMethodThatNeedsNoneIsNotTakenForARequest() throws {
    try withServer(dockfile("echo")) { server throws in
      let hidden = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      for method in ["GET", "DELETE", "OPTIONS", "PUT", "PATCH"] {
        let connection = try server.connect()
        try connection.send(
          "\(method) /health HTTP/1.1\r\nHost: a\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)")
        let status = ["GET": 200, "OPTIONS": 204][method] ?? 405
        #expect(try connection.response(to: method).status == status, "\(method)")
        #expect(try connection.request("GET", "/info").json()["auth_enabled"] == false, "\(method)")
      }
      // evhttp reads no body behind these.
      for (method, status) in [("HEAD", 200), ("TRACE", 405), ("UNHEARD", 405)] {
        let bytes =
          "\(method) /health HTTP/1.1\r\nHost: a\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)"
        for pieces in [[Array(bytes.utf8)], bytes.utf8.map { [$0] }] {
          let conversation = try RawConversation(server.connect(), pieces, method: method)
          #expect(conversation.replies.map(\.status) == [status], "\(method)")
        }
      }
    }
  }

  @Test func connectionIsAListOverAllItsFields() throws {
    try withServer(dockfile("echo")) { server throws in
      func closes(_ headers: [String], version: String = "1.1") throws -> Bool {
        let connection = try server.connect()
        try connection.send(requestText("GET", "/health", headers: headers, version: version))
        let response = try connection.response(to: "GET")
        #expect(response.status == 200)
        let closes = response["Connection"] == "close"
        if closes {
          #expect(connection.isClosedByServer(within: 5), "\(headers)")
        } else {
          // The next one is of HTTP/1.0 again and has no field: it ends the connection.
          try connection.send(requestText("GET", "/info", headers: ["Connection: close"], version: version))
          #expect(try connection.response(to: "GET").status == 200, "\(headers)")
          #expect(connection.isClosedByServer(within: 5), "\(headers)")
        }
        return closes
      }
      for headers in [
        ["Connection: close"], ["Connection: Close, x"], ["Connection: x , close"], ["Connection: x,close\t"],
        ["Connection: x", "Connection: close"], ["Connection: keep-alive", "connection: y, CLOSE"],
      ] { #expect(try closes(headers), "\(headers)") }
      for headers in [
        ["Connection: not-close"], ["Connection: closed"], ["Connection: x", "Connection: y"],
        ["Connection: "],
        ["Connection: upgrade", "Upgrade: h2c"],
      ] { #expect(try !closes(headers), "\(headers)") }
      for headers in [
        ["Connection: keep-alive"], ["Connection: x", "Connection: Keep-Alive"],
        ["Connection: x, keep-alive"],
      ] { #expect(try !closes(headers, version: "1.0"), "\(headers)") }
      for headers in [[], ["Connection: x"], ["Connection: keep-alive, close"]] {
        #expect(try closes(headers, version: "1.0"), "\(headers)")
      }
    }
  }

  @Test func anAbsoluteTargetIsServedAsItsPath() throws {
    try withServer(dockfile("echo")) { server throws in
      for target in ["http://a/health", "HTTP://b:80/health", "http://[::1]:8080/health?_=1"] {
        #expect(try server.get(target).json()["status"] == "ok", "\(target)")
      }
      #expect(try server.get("http://a")["Content-Type"]?.hasPrefix("text/html") == true)
      #expect(try server.get("http://a/nowhere").status == 404)
    }
  }

  @Test func whoAsksBeforeSendingIsToldToGoOn() throws {
    try withServer(dockfile("echo")) { server throws in
      for framing in ["Content-Length: 13", "Transfer-Encoding: chunked"] {
        let connection = try server.connect()
        try connection.send("POST /invoke HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\(framing)\r\n\r\n")
        let go = try connection.receive(until: .in(5))
        #expect(String(decoding: go, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n", "\(framing)")
        let body = #"{"text":"Hi"}"#
        try connection.send(framing.hasPrefix("C") ? body : "d;a\r\n\(body)\r\n0\r\n\r\n")
        #expect(try connection.response(to: "POST").json()["output"]?["text"] == "Hi", "\(framing)")
      }
    }
  }

  @Test func anHTTP10ClientGetsAWholeReplyWithoutChunksAndTheEnd() throws {
    try withServer(dockfile("scripted")) { server throws in
      let plain = try server.connect()
      try plain.send(requestText("GET", "/health", version: "1.0"))
      #expect(try plain.response(to: "GET").status == 200)
      #expect(plain.isClosedByServer(within: 5))

      let stream = try EventStream(
        on: server.connect(),
        request: requestText("POST", "/invoke/stream", body: #"{"tokens":3}"#, version: "1.0"))
      #expect(!stream.isChunked)
      #expect(stream.head.values("Transfer-Encoding").isEmpty)
      let events = try stream.remainingEvents()
      let id = try #require(stream.head["X-Request-Id"])
      expectWholeStream(events, idField: "request_id", id: id)
      #expect(events.count == 5)

      let run = try server.completedRun(#"{"tokens":3}"#)
      let replay = try EventStream(
        on: server.connect(), request: requestText("GET", "/runs/\(run)/events", version: "1.0"))
      expectWholeStream(try replay.remainingEvents(), idField: "run_id", id: run)
    }
  }
}
