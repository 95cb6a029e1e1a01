import Testing

@testable import DockrionServer

/// Section 2: from where a browser may start agents, and which hosts are answered.
@Suite(.sharesMachine) struct SiteTests {
  private static let starts = ["/invoke", "/invoke/stream", "/runs"]

  @Test func aStartFromAnotherSiteIsRefusedAndNoAgentRuns() throws {
    try withServer(dockfile("echo")) { server throws in
      for path in Self.starts {
        for headers in [
          ["Origin: https://evil.example"], ["Origin: http://test.local:81"],
          ["Origin: http://test.local.evil"],
          ["Origin: null"], ["Origin: "], ["Origin: test.local"], ["Origin: ftp://test.local"],
          ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"], ["Sec-Fetch-Site: cross-site"],
          ["Origin: null", "Sec-Fetch-Site: cross-site"], ["origin: https://evil.example"],
          ["Origin: http://neighbour.local", "Sec-Fetch-Site: same-site"],
        ] {
          let response = try server.post(path, #"{"text":"Hi"}"#, headers: headers)
          #expect(response.status == 403, "\(path) \(headers)")
          #expect(try response.errorCode() == "ORIGIN_NOT_ALLOWED")
          let named = headers.contains { $0.lowercased().hasPrefix("origin") } ? "Origin" : "Sec-Fetch-Site"
          #expect(try response.errorSentence().hasPrefix(named), "\(response.text)")
        }
      }
      #expect(try server.get("/runs").json()["runs"] == [])
      #expect(try server.metrics().sum("dockrion_events_total") == 0)
    }
  }

  @Test func aStartFromThisHostOrFromNoBrowserIsTaken() throws {
    try withServer(dockfile("echo")) { server throws in
      for headers in [
        [], ["Origin: http://test.local"], ["Origin: https://test.local"], ["Origin: HTTPS://Test.Local:443"],
        ["Host: test.local:8080", "Origin: http://test.local:8080"],
        ["Host: test.local:80", "Origin: http://test.local"], ["Host: [::1]:9", "Origin: http://[::1]:9"],
        ["Sec-Fetch-Site: same-origin"], ["Sec-Fetch-Site: none"], ["Sec-Fetch-Site: same-site"],
        // A form whose page sends no referrer, and a proxy that changes the host: the browser vouches for both.
        ["Origin: null", "Sec-Fetch-Site: same-origin"],
        ["Host: inner:8080", "Origin: https://app.example", "Sec-Fetch-Site: same-origin"],
      ] {
        for path in Self.starts {
          let status = try server.post(path, #"{"text":"Hi"}"#, headers: headers).status
          #expect(status == (path == "/runs" ? 202 : 200), "\(path) \(headers)")
        }
      }
    }
  }

  @Test func whatCORSAllowsMayStartAgentsAndNobodyElseMay() throws {
    let cors = "expose: {cors: {origins: [\"https://app.example.com\"]}}"
    try withServer(dockfile("echo", cors)) { server throws in
      let app = ["Origin: https://app.example.com", "Sec-Fetch-Site: cross-site"]
      #expect(try server.post("/invoke", #"{"text":"Hi"}"#, headers: app).status == 200)
      let evil = try server.post("/invoke", #"{"text":"Hi"}"#, headers: ["Origin: https://evil.example"])
      #expect(evil.status == 403 && evil["Access-Control-Allow-Origin"] == nil)
    }
    try withServer(dockfile("echo", "expose: {cors: true}")) { server throws in
      for origin in ["https://evil.example", "null"] {
        let headers = ["Origin: \(origin)", "Sec-Fetch-Site: cross-site"]
        #expect(try server.post("/invoke", #"{"text":"Hi"}"#, headers: headers).status == 200)
      }
    }
  }

  @Test func readingAndCancellingAreNotStarts() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.startRun(#"{"hang":true}"#)
      let evil = ["Origin: https://evil.example", "Sec-Fetch-Site: cross-site"]
      for path in ["/runs", "/runs/\(run)", "/health", "/metrics"] {
        #expect(try server.get(path, headers: evil).status == 200, "\(path)")
      }
      #expect(try server.request("DELETE", "/runs/\(run)", headers: evil).status == 200)
    }
  }

  @Test func aHostThatIsNotAllowedIs421ExceptForProbes() throws {
    let hosts = "expose: {allowed_hosts: [test.local, '*.agents.example:8443']}"
    try withServer(dockfile("echo", hosts)) { server throws in
      let wrong = [
        "evil.example", "test.local.evil", "agents.example:8443", "a.agents.example",
        "127.0.0.1:\(server.port)",
      ]
      for host in wrong {
        let header = ["Host: \(host)"]
        for path in ["/", "/info", "/metrics", "/runs", "/nowhere", "/openapi.json"] {
          let response = try server.get(path, headers: header)
          #expect(response.status == 421, "\(host) \(path)")
          #expect(try response.errorCode() == "WRONG_HOST")
          #expect(try response.errorSentence().contains(host))
        }
        #expect(try server.post("/invoke", #"{"text":"Hi"}"#, headers: header).status == 421)
        #expect(try server.request("OPTIONS", "/invoke", headers: header).status == 421)
        for path in ["/health", "/ready"] {
          #expect(try server.get(path, headers: header).status == 200, "\(host) \(path)")
        }
      }
      for host in ["test.local", "TEST.local:99", "b.agents.example:8443"] {
        #expect(try server.get("/info", headers: ["Host: \(host)"]).status == 200, "\(host)")
      }
      // The host of a target that is a whole URL counts, and not the header beside it.
      #expect(try server.get("http://evil.example/info", headers: ["Host: test.local"]).status != 200)
    }
  }

  @Test func withoutAllowedHostsAnyHostIsAnswered() throws {
    try withServer(dockfile("echo")) { server throws in
      #expect(try server.get("/info", headers: ["Host: evil.example"]).status == 200)
    }
  }

  @Test func anOriginIsThisHostWhenHostAndPortAreTheSame() {
    #expect(SitePolicy.isOwn("http://a:80", host: "A"))
    #expect(SitePolicy.isOwn("https://a", host: "a:443"))
    #expect(!SitePolicy.isOwn("https://a", host: "a:80"))
    #expect(!SitePolicy.isOwn("http://a", host: nil))
    #expect(!SitePolicy.isOwn("null", host: "null"))
    #expect(!SitePolicy.isOwn("://a", host: "a"))
    #expect(!SitePolicy.isOwn("http://a@b", host: "b"))
  }
}
