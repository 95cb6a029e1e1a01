import Testing

@Suite(.sharesMachine) struct AuthenticationTests {
  private static let protected = dockfile(
    "echo", "auth: {mode: api_key, api_keys: {env_var: TEST_AGENT_KEYS}}")
  private static let keys = ["TEST_AGENT_KEYS": "first-key,second-key"]

  @Test func withoutAKeyOrWithAWrongOneEveryAgentRouteIs401() throws {
    try withServer(Self.protected, environment: Self.keys) { server throws in
      let routes = [
        ("POST", "/invoke"), ("POST", "/invoke/stream"), ("POST", "/runs"), ("GET", "/runs"),
        ("GET", "/runs/some-run"), ("GET", "/runs/some-run/events"), ("DELETE", "/runs/some-run"),
      ]
      let wrong = [
        [], ["X-API-Key: third-key"], ["X-API-Key: "], ["X-API-Key: first-key,second-key"],
        ["X-API-Key: first-ke"], ["X-API-Key: first-keyy"], ["Authorization: Bearer third-key"],
        ["Authorization: Basic first-key"], ["Authorization: first-key"], ["Authorization: Bearer "],
      ]
      for (method, path) in routes {
        for headers in wrong {
          let response = try server.request(
            method, path, headers: headers, body: method == "POST" ? #"{"text":"Hi"}"# : nil)
          #expect(response.status == 401, "\(method) \(path) \(headers)")
          #expect(response["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
          #expect(try response.errorCode() == "AUTH_ERROR")
        }
      }
    }
  }

  @Test func eachKeyOpensTheAgentRoutesInBothHeaders() throws {
    try withServer(Self.protected, environment: Self.keys) { server throws in
      for header in [
        "X-API-Key: first-key", "X-API-Key: second-key", "Authorization: Bearer first-key",
        "Authorization: Bearer second-key", "x-api-key: first-key",
      ] {
        let invoked = try server.post("/invoke", #"{"text":"Hi"}"#, headers: [header])
        #expect(invoked.status == 200, "\(header)")
        #expect(try server.get("/runs", headers: [header]).status == 200, "\(header)")
      }
    }
  }

  /// Of two, each reader takes another: a proxy may have checked the one that is not looked at here.
  @Test func aKeyThatComesTwiceIsRefusedByTheNameOfItsHeader() throws {
    let text = dockfile(
      "echo", "auth: {mode: api_key, api_keys: {env_var: TEST_AGENT_KEYS, header: X-Agent-Key}}")
    try withServer(text, environment: Self.keys) { server throws in
      let key = "X-Agent-Key: first-key"
      #expect(try server.get("/runs", headers: [key]).status == 200)
      for second in [key, "x-agent-key: second-key", "X-Agent-Key: wrong", "X-AGENT-KEY:"] {
        for headers in [[key, second], [second, key]] {
          let reply = try server.post("/invoke", #"{"text":"Hi"}"#, headers: headers)
          #expect(reply.status == 400, "\(headers)")
          #expect(try reply.errorCode() == "VALIDATION_ERROR")
          #expect(reply.text.contains("X-Agent-Key"), "\(reply.text)")
        }
      }
      let bearer = "Authorization: Bearer first-key"
      let doubled = try server.post("/invoke", #"{"text":"Hi"}"#, headers: [bearer, bearer])
      #expect(doubled.status == 400)
      #expect(doubled.text.contains("Authorization"), "\(doubled.text)")
      // One of each is what clients send that do not know which of them is read.
      #expect(try server.get("/runs", headers: [key, bearer]).status == 200)
    }
  }

  @Test func theOperationsRoutesNeedNoKey() throws {
    try withServer(Self.protected, environment: Self.keys) { server throws in
      for path in ["/health", "/ready", "/metrics", "/info", "/schema", "/openapi.json", "/"] {
        #expect(try server.get(path).status == 200, "\(path)")
      }
      #expect(try server.get("/info").json()["auth_enabled"] == true)
    }
  }

  @Test func noReplyAndNoLogLineRepeatsAKey() throws {
    try withServer(Self.protected, environment: Self.keys) { server throws in
      let pages = try ["/info", "/openapi.json", "/", "/metrics"].map { try server.get($0).text }
      let refused = try server.post("/invoke", "{}", headers: ["X-API-Key: a-wrong-guess"]).text
      for text in pages + [refused, server.output, server.errorOutput] {
        #expect(
          !text.contains("first-key") && !text.contains("second-key") && !text.contains("a-wrong-guess"))
      }
    }
  }

  @Test func anAuthModeThatIsNotEnforcedIsRefusedAtStart() throws {
    for mode in ["jwt", "oauth2", "basic"] {
      let start = try failedStart(dockfile("echo", "auth: {mode: \(mode)}"), arguments: ["--port", "0"])
      #expect(start.code == 1)
      #expect(start.message.contains("auth.mode"), "\(start.message)")
    }
  }

  @Test func apiKeyWithoutAnyKeyInTheEnvironmentIsRefusedAtStart() throws {
    let start = try failedStart(Self.protected, arguments: ["--port", "0"])
    #expect(start.code == 1)
    #expect(start.message.contains("TEST_AGENT_KEYS"), "\(start.message)")
  }
}

@Suite(.sharesMachine) struct CORSTests {
  private static let open = dockfile("echo", "expose: {cors: {origins: [\"https://app.example.com\"]}}")

  @Test func anAllowedOriginIsNamedOnRepliesErrorsAndStreams() throws {
    try withServer(Self.open) { server throws in
      let origin = ["Origin: https://app.example.com"]
      let replies = [
        try server.get("/health", headers: origin).head,
        try server.post("/invoke", #"{"text":"Hi"}"#, headers: origin).head,
        try server.post("/invoke", "[]", headers: origin).head,
        try server.get("/nowhere", headers: origin).head,
        try server.invokeStream(#"{"text":"Hi"}"#, headers: origin).head,
      ]
      for head in replies {
        #expect(head["Access-Control-Allow-Origin"] == "https://app.example.com", "\(head.status)")
      }
    }
  }

  @Test func anotherOriginIsNotNamed() throws {
    try withServer(Self.open) { server throws in
      for origin in ["https://evil.example.com", "https://app.example.com.evil.org", "null"] {
        let response = try server.get("/health", headers: ["Origin: \(origin)"])
        #expect(response.status == 200)
        #expect(response.head.values("Access-Control-Allow-Origin").isEmpty, "\(origin)")
      }
    }
  }

  @Test func aPreflightIsToldTheMethodsAndHeaders() throws {
    try withServer(Self.open) { server throws in
      let response = try server.request(
        "OPTIONS", "/invoke/stream",
        headers: [
          "Origin: https://app.example.com", "Access-Control-Request-Method: POST",
          "Access-Control-Request-Headers: content-type",
        ])
      #expect(response.status == 204)
      #expect(response["Access-Control-Allow-Origin"] == "https://app.example.com")
      #expect(response["Access-Control-Allow-Methods"]?.contains("POST") == true)
      #expect(response["Access-Control-Allow-Headers"]?.lowercased().contains("content-type") == true)
    }
  }

  @Test func withoutCORSNoReplyCarriesItsHeaders() throws {
    try withServer(dockfile("echo")) { server throws in
      let response = try server.get("/health", headers: ["Origin: https://app.example.com"])
      #expect(!response.head.headers.contains { $0.name.lowercased().hasPrefix("access-control-") })
    }
  }
}
