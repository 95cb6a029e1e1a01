import Testing

@Suite(.sharesMachine) struct RoutingTests {
  @Test func headAnswersWithTheHeadersOfGetAndNoBody() throws {
    try withServer(dockfile("echo")) { server throws in
      let run = try server.completedRun(#"{"text":"Hi"}"#)
      for path in ["/health", "/ready", "/info", "/schema", "/openapi.json", "/", "/runs", "/runs/\(run)"] {
        let connection = try server.connect()
        let get = try connection.request("GET", path)
        let head = try connection.request("HEAD", path)
        #expect(get.status == 200, "\(path)")
        #expect(head.status == get.status, "\(path)")
        #expect(head.body.isEmpty)
        #expect(head["Content-Type"] == get["Content-Type"], "\(path)")
        #expect(head["Content-Length"] == get["Content-Length"], "\(path)")
        #expect(
          try connection.request("GET", "/health").status == 200, "the connection is in step after HEAD")
      }
    }
  }

  @Test func headOfAnEventStreamAnswersWithoutABody() throws {
    try withServer(dockfile("echo")) { server throws in
      let run = try server.completedRun(#"{"text":"Hi"}"#)
      let connection = try server.connect()
      let head = try connection.request("HEAD", "/runs/\(run)/events")
      #expect(head.status == 200)
      #expect(head["Content-Type"]?.hasPrefix("text/event-stream") == true)
      let fresh = try server.request("GET", "/health")
      #expect(fresh.status == 200)
    }
  }

  @Test func optionsAnswers204WithTheMethodsOfTheRoute() throws {
    try withServer(dockfile("echo")) { server throws in
      let expected = [
        "/invoke": ["OPTIONS", "POST"],
        "/invoke/stream": ["OPTIONS", "POST"],
        "/runs": ["GET", "HEAD", "OPTIONS", "POST"],
        "/runs/some-run": ["DELETE", "GET", "HEAD", "OPTIONS"],
        "/runs/some-run/events": ["GET", "HEAD", "OPTIONS"],
        "/health": ["GET", "HEAD", "OPTIONS"],
      ]
      for (path, methods) in expected {
        let response = try server.request("OPTIONS", path)
        #expect(response.status == 204, "\(path)")
        #expect(methodsAllowed(response) == methods, "\(path)")
      }
      #expect(try server.request("OPTIONS", "/nowhere").status == 404)
      let whole = try server.request("OPTIONS", "*")
      #expect(whole.status == 204 && whole["Allow"]?.contains("DELETE") == true)
    }
  }

  @Test func aKnownPathWithAnotherMethodIs405WithAllow() throws {
    try withServer(dockfile("echo")) { server throws in
      let cases = [
        ("GET", "/invoke"), ("GET", "/invoke/stream"), ("DELETE", "/runs"), ("PUT", "/runs/some-run"),
        ("POST", "/runs/some-run/events"), ("POST", "/health"), ("PATCH", "/metrics"), ("DELETE", "/"),
      ]
      for (method, path) in cases {
        let response = try server.request(method, path, body: method == "GET" ? nil : "{}")
        #expect(response.status == 405, "\(method) \(path)")
        #expect(try response.errorCode() == "METHOD_NOT_ALLOWED")
        #expect(!methodsAllowed(response).isEmpty)
        #expect(!methodsAllowed(response).contains(method), "\(method) \(path)")
      }
    }
  }

  @Test func anUnknownPathIs404() throws {
    try withServer(dockfile("echo")) { server throws in
      for path in [
        "/nowhere", "/invoke/", "/invoke/streams", "/runs/a/b", "/runs/a/events/c", "/x/../health",
        "/%68ealth",
      ] {
        let response = try server.get(path)
        #expect(response.status == 404, "\(path)")
        #expect(try response.errorCode() == "NOT_FOUND")
      }
    }
  }

  @Test func aRunIdThatIsNoneIs400WhateverItIsWrittenAs() throws {
    try withServer(dockfile("echo")) { server throws in
      for id in ["%00", "a%00", "a%2fb", "%2e%2e", "..", "a%0d%0ab", "-a", "\u{e9}", "%c3%28", "a%"] {
        for (method, path) in [
          ("GET", "/runs/\(id)"), ("GET", "/runs/\(id)/events"), ("DELETE", "/runs/\(id)"),
        ] {
          let response = try server.request(method, path)
          #expect(response.status == 400, "\(method) \(path)")
          #expect(try response.errorCode() == "VALIDATION_ERROR")
        }
      }
    }
  }

  @Test func anUnknownRunIs404OnEveryRunRoute() throws {
    try withServer(dockfile("echo")) { server throws in
      for (method, path) in [
        ("GET", "/runs/no-run"), ("GET", "/runs/no-run/events"), ("DELETE", "/runs/no-run"),
      ] {
        let response = try server.request(method, path)
        #expect(response.status == 404, "\(method) \(path)")
        #expect(try response.errorCode() == "NOT_FOUND")
      }
    }
  }

  @Test func restFalseRemovesInvokeAlone() throws {
    try withServer(dockfile("echo", "expose: {rest: false}")) { server throws in
      #expect(try server.post("/invoke", #"{"text":"Hi"}"#).status == 404)
      #expect(try server.invokeStream(#"{"text":"Hi"}"#).remainingEvents().last?.type == "complete")
      #expect(try server.post("/runs", #"{"text":"Hi"}"#).status == 202)
    }
  }

  @Test func streamingNoneRemovesInvokeStreamAlone() throws {
    try withServer(dockfile("echo", "expose: {streaming: none}")) { server throws in
      #expect(try server.post("/invoke/stream", #"{"text":"Hi"}"#).status == 404)
      #expect(try server.post("/invoke", #"{"text":"Hi"}"#).status == 200)
      #expect(try server.post("/runs", #"{"text":"Hi"}"#).status == 202)
    }
  }

  @Test func asyncRunsFalseRemovesTheRunRoutes() throws {
    try withServer(dockfile("echo", "streaming: {async_runs: false}")) { server throws in
      #expect(try server.post("/runs", #"{"text":"Hi"}"#).status == 404)
      #expect(try server.get("/runs").status == 404)
      #expect(try server.get("/runs/some-run").status == 404)
      #expect(try server.get("/runs/some-run/events").status == 404)
      #expect(try server.post("/invoke", #"{"text":"Hi"}"#).status == 200)
    }
  }

  private func methodsAllowed(_ response: Response) -> [String] {
    (response["Allow"] ?? "").split(separator: ",").map { $0.trimmingPrefix(" ") }.map(String.init).sorted()
  }
}
