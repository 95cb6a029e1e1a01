import Testing

@Suite(.sharesMachine) struct RequestBodyTests {
  @Test func aBodyThatIsNoJSONObjectIs400() throws {
    try withServer(dockfile("scripted")) { server throws in
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        for body in ["", "{", "[1]", "\"text\"", "17", "null", "{} {}", "{\"a\":1,}", "{\"a\":\u{1}1}"] {
          let response = try server.post(path, body)
          #expect(response.status == 400, "\(path) \(body)")
          #expect(try response.errorCode() == "VALIDATION_ERROR")
        }
      }
      #expect(try server.run("x")["code"] == "NOT_FOUND")
      #expect(try server.get("/runs").json()["runs"]?.array?.isEmpty == true, "no refused body started a run")
    }
  }

  @Test func aBodyThatIsNoUTF8Is400() throws {
    try withServer(dockfile("echo")) { server throws in
      let body: [UInt8] = Array(#"{"text":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
      let connection = try server.connect()
      try connection.send(
        "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
      )
      try connection.send(body)
      let response = try connection.response(to: "POST")
      #expect(response.status == 400)
      #expect(try response.errorCode() == "VALIDATION_ERROR")
    }
  }

  @Test func theContentTypeMayBeMissingOrCarryParametersButNotBeAnother() throws {
    try withServer(dockfile("echo")) { server throws in
      let body = #"{"text":"Hi"}"#
      let bare = "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n"
      for (header, status) in [
        ("", 200), ("Content-Type: application/json; charset=utf-8\r\n", 200),
        ("Content-Type: Application/JSON\r\n", 200), ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: application/json\t;charset=utf-8\r\n", 200),
        ("Content-Type:\tapplication/json \t ; a\r\n", 200), ("Content-Type: application/json a\r\n", 415),
        ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
        ("Content-Type: application/jsonlines\r\n", 415),
      ] {
        let connection = try server.connect()
        try connection.send(bare + header + "\r\n" + body)
        let response = try connection.response(to: "POST")
        #expect(response.status == status, "\(header)")
        if status == 415 { #expect(try response.errorCode() == "UNSUPPORTED_MEDIA_TYPE") }
      }
    }
  }

  @Test func anEncodedBodyIs415() throws {
    try withServer(dockfile("echo")) { server throws in
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        for coding in ["gzip", "deflate, br", "GZIP"] {
          let response = try server.post(path, #"{"text":"Hi"}"#, headers: ["Content-Encoding: \(coding)"])
          #expect(response.status == 415, "\(coding)")
          #expect(try response.errorCode() == "UNSUPPORTED_MEDIA_TYPE")
          #expect(try response.errorSentence().contains(coding), "\(response.text)")
          #expect(response["Accept-Encoding"] == "identity")
        }
      }
      #expect(try server.get("/runs").json()["runs"]?.array?.isEmpty == true)
    }
  }

  @Test func aBodyOfOneMebibyteIsTakenAndALargerOneIs413() throws {
    try withServer(dockfile("echo")) { server throws in
      // Of many words: of one that long `echo` would make an event that is too large.
      let words = String(repeating: String(repeating: "a", count: 1023) + " ", count: 1023)
      let fitting = #"{"text":"\#(words)\#(String(repeating: "a", count: 1013))"}"#
      #expect(fitting.utf8.count == 1 << 20)
      #expect(try server.post("/invoke", fitting).status == 200)
      let refused = try server.post("/invoke", fitting + " ")
      #expect(refused.status == 413)
      #expect(try refused.errorCode() == "PAYLOAD_TOO_LARGE")
    }
  }

  @Test func aClientThatSendsFarTooMuchCanReadTheRefusal() throws {
    try withServer(dockfile("echo")) { server throws in
      for _ in 0..<10 {
        let connection = try server.connect()
        try connection.send(
          "POST /invoke HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 20000000\r\n\r\n"
        )
        for _ in 0..<20 { try connection.send([UInt8](repeating: 32, count: 1_000_000)) }
        let response = try connection.response(to: "POST")
        #expect(response.status == 413)
        #expect(try response.errorCode() == "PAYLOAD_TOO_LARGE")
        #expect(connection.isClosedByServer(within: 5))
      }
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_connections") == 1 })
    }
  }

  @Test func aClientThatAsksBeforeItSendsFarTooMuchIsToldAtOnce() throws {
    try withServer(dockfile("echo")) { server throws in
      let connection = try server.connect()
      try connection.send(
        "POST /invoke HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20000000\r\n\r\n")
      let response = try connection.response(to: "POST", within: 5)
      #expect(response.status == 413)
      #expect(try response.errorCode() == "PAYLOAD_TOO_LARGE")
      connection.close()
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_connections") == 1 })
    }
  }

  @Test func aRefusalForItsSizeCanBeReadByThePageThatSent() throws {
    try withServer(dockfile("echo", "expose: {cors: {origins: [\"https://app.example.com\"]}}")) {
      server throws in
      let connection = try server.connect()
      try connection.send(
        "POST /invoke HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\nContent-Length: 20000000\r\n\r\n"
      )
      let response = try connection.response(to: "POST")
      #expect(response.status == 413)
      #expect(response["Access-Control-Allow-Origin"] == "https://app.example.com")
      let counted = try server.metrics().sum(
        "dockrion_requests_total", ["route": "/invoke", "method": "POST", "status": "413"])
      #expect(counted == 1)
    }
  }

  @Test func aHeadLargerThan16KibibytesIsRefused() throws {
    try withServer(dockfile("echo")) { server throws in
      let taken = try server.get("/health", headers: ["X-Filler: " + String(repeating: "a", count: 8000)])
      #expect(taken.status == 200)
      let refused = try server.get("/health", headers: ["X-Filler: " + String(repeating: "a", count: 17000)])
      #expect(refused.status == 431)
      #expect(try refused.errorCode() == "VALIDATION_ERROR")
      #expect(try server.get("/health").status == 200)
    }
  }

  @Test func aBodyNested100000DeepIs400AndTheServerLives() throws {
    try withServer(dockfile("echo")) { server throws in
      let arrays =
        #"{"text":"# + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000) + "}"
      let objects =
        String(repeating: #"{"a":"#, count: 100_000) + "1" + String(repeating: "}", count: 100_000)
      for body in [arrays, objects, String(repeating: "[", count: 100_000)] {
        let response = try server.post("/invoke", body)
        #expect(response.status == 400)
        #expect(try response.errorCode() == "VALIDATION_ERROR")
      }
      #expect(try server.post("/invoke", #"{"text":"Hi"}"#).status == 200)
    }
  }

  @Test func aBodyThatDoesNotFitTheSchemaIs422WithItsPointer() throws {
    let schema = """
      io_schema:
        input:
          type: object
          required: [text, order]
          properties:
            text: {type: string}
            order:
              type: object
              required: [lines]
              properties:
                lines: {type: array, items: {type: object, properties: {count: {type: integer}}}}
                mode: {type: string, enum: [fast, safe]}
      """
    try withServer(dockfile("echo", schema)) { server throws in
      let fitting = #"{"text":"a","order":{"lines":[{"count":1}],"mode":"fast"}}"#
      #expect(try server.post("/invoke", fitting).status == 200)
      let cases = [
        (#"{"text":5,"order":{"lines":[]}}"#, "/text"),
        (#"{"text":"a","order":{}}"#, "lines"),
        (#"{"text":"a","order":{"lines":[{"count":1},{"count":"x"}]}}"#, "/order/lines/1/count"),
        (#"{"text":"a","order":{"lines":[],"mode":"slow"}}"#, "/order/mode"),
        (#"{"order":{"lines":[]}}"#, "text"),
      ]
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        for (body, pointer) in cases {
          let response = try server.post(path, body)
          #expect(response.status == 422, "\(path) \(body)")
          #expect(try response.errorCode() == "VALIDATION_ERROR")
          #expect(try response.errorSentence().contains(pointer), "\(response.text)")
        }
      }
    }
  }

  @Test func aFieldOfTheWrongTypeForABuiltInAgentIsAValidationErrorThatNamesIt() throws {
    try withServer(dockfile("scripted")) { server throws in
      for body in [#"{"tokens":"many"}"#, #"{"tokens":1.5}"#, #"{"interval_ms":[]}"#, #"{"emit":{}}"#] {
        let response = try server.post("/invoke", body)
        #expect(try response.errorCode() == "VALIDATION_ERROR", "\(body)")
        let field = try #require(body.firstMatch(of: /"(\w+)"/)?.1)
        #expect(try response.errorSentence().contains(field), "\(response.text)")
      }
      #expect(try server.post("/invoke", #"{"tokens":1,"unknown":true}"#).status == 200)
    }
  }
}
