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

  @Test func twoDifferentContentLengthsAre400AndTheConnectionIsClosed() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      try connection.send(
        "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
          + "Content-Length: 13\r\nContent-Length: 50\r\n\r\n" + #"{"text":"Hi"}"#
          + "GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
      #expect(try connection.response(to: "POST").status == 400)
      #expect(connection.isClosedByServer(within: 5))
    }
  }

  @Test func aGETWithABodyDoesNotDesynchroniseTheConnection() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      let hidden = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
      try connection.send(
        "GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n\(hidden)")
      #expect(try connection.response(to: "GET").status == 200)
      // The body must not be taken for a request: the connection either closes or answers the next one rightly.
      let answer = try? connection.request("GET", "/info", within: 5)
      #expect(answer == nil || (answer?.status == 200 && answer?.text.contains("auth_enabled") == true))
      #expect(try server.get("/health").status == 200)
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

  @Test func aMalformedRequestIs400AndHarmsNobody() throws {
    try withServer(dockfile("echo")) { server throws in
      for garbage in [
        "GARBAGE\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "\u{0}\u{1}\r\n\r\n",
      ] {
        let connection = try server.connect()
        try connection.send(garbage)
        // A page with 400, or the end of the connection: never a reply of another kind.
        if let response = try? connection.response(to: "GET", within: 5) { #expect(response.status == 400) }
        #expect(try server.get("/health").status == 200)
      }
    }
  }

  @Test func conflictingFramingIsRefused() throws {
    try withServer(dockfile("echo")) { server throws in
      for framing in [
        "Content-Length: 13\r\nTransfer-Encoding: chunked", "Content-Length: -1", "Transfer-Encoding: gzip",
        "Content-Length: 13x",
      ] {
        let connection = try server.connect()
        try connection.send("POST /invoke HTTP/1.1\r\nHost: a\r\n\(framing)\r\n\r\n{\"text\":\"Hi\"}")
        let response = try connection.response(to: "POST")
        #expect([400, 501].contains(response.status), "\(framing)")
      }
      #expect(try server.get("/health").status == 200)
    }
  }
}
