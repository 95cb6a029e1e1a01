import Testing

/// Section 2: what a query string may hold.
@Suite(.sharesMachine) struct QueryStringTests {
  @Test func anUnknownParameterIs400AndNamesTheNearest() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.completedRun(#"{"tokens":1}"#)
      let cases = [
        ("GET", "/runs?staus=failed", "staus", "status"), ("GET", "/runs?limits=5", "limits", "limit"),
        ("GET", "/runs?Limit=5", "Limit", "limit"), ("POST", "/runs?runid=a", "runid", "run_id"),
        ("GET", "/runs/\(run)/events?from_seqence=3", "from_seqence", "from_sequence"),
        ("GET", "/runs/\(run)/events?timeout=5&event=token", "event", "events"),
        ("DELETE", "/runs/\(run)?reasons=x", "reasons", "reason"),
        ("GET", "/runs?%6Cimits=5", "limits", "limit"),
      ]
      for (method, path, wrong, right) in cases {
        let response = try server.request(method, path, body: method == "POST" ? "{}" : nil)
        #expect(response.status == 400, "\(method) \(path)")
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        #expect(
          try response.errorSentence()
            == "\"\(wrong)\" is no query parameter here; did you mean \"\(right)\"?")
      }
      for (method, path, all) in [
        ("GET", "/runs?x=1", "this route takes status, limit, cursor, agent"),
        ("GET", "/runs/\(run)?verbose", "this route takes none"),
        ("POST", "/invoke?x", "this route takes none"),
        ("POST", "/invoke/stream?timeout=3", "this route takes none"),
      ] {
        let response = try server.request(method, path, body: method == "POST" ? "{}" : nil)
        #expect(response.status == 400, "\(method) \(path)")
        #expect(try response.errorSentence().hasSuffix(all), "\(response.text)")
      }
      #expect(try server.get("/runs").json()["runs"]?.array?.count == 1, "no refused start has started one")
    }
  }

  @Test func whatBeginsWithAnUnderscoreIsIgnoredAndProbesMayAddWhatTheyLike() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.completedRun(#"{"tokens":1}"#)
      for path in [
        "/runs?_=1732464000&limit=1", "/runs?_&_&_x=%ff", "/runs?&&", "/runs?", "/runs/\(run)?_t=1",
        "/runs/\(run)/events?_=%&from_sequence=2",
      ] { #expect(try server.get(path).status == 200, "\(path)") }
      #expect(try server.post("/invoke?_=5", "{}").status == 200)
      for path in ["/health", "/ready", "/metrics", "/info", "/schema", "/openapi.json", "/"] {
        #expect(try server.get(path + "?probe=1&probe=2&x=%ff").status == 200, "\(path)")
      }
      #expect(try server.request("HEAD", "/runs?x=1").status == 400)
    }
  }

  @Test func aParameterStandsThereOnceAndInUTF8() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.completedRun(#"{"tokens":1}"#)
      for (path, sentence) in [
        ("/runs?limit=1&limit=2", "limit: it stands there twice; once is needed"),
        ("/runs?limit=1&%6Cimit=1", "limit: it stands there twice; once is needed"),
        ("/runs?status=%ff", "status: \"%ff\" is no percent-encoded UTF-8"),
        ("/runs?status=%", "status: \"%\" is no percent-encoded UTF-8"),
        ("/runs?status=fail%6", "status: \"fail%6\" is no percent-encoded UTF-8"),
        ("/runs?limit=abc", "limit: \"abc\" is not an integer from 1 to 500"),
        ("/runs?limit=%2B5", "limit: \"+5\" is not an integer from 1 to 500"),
        ("/runs?limit=-0", "limit: \"-0\" is not an integer from 1 to 500"),
        ("/runs?limit=5.0", "limit: \"5.0\" is not an integer from 1 to 500"),
        ("/runs?limit=", "limit: \"\" is not an integer from 1 to 500"),
        ("/runs?limit=501", "limit: \"501\" is not an integer from 1 to 500"),
        ("/runs/\(run)/events?from_sequence=-0", "from_sequence: \"-0\" is not an integer of 0 or more"),
      ] {
        let response = try server.get(path)
        #expect(response.status == 400, "\(path)")
        #expect(try response.errorSentence() == sentence, "\(path)")
      }
      let reason = try server.request("DELETE", "/runs/\(run)?reason=%ff")
      #expect(reason.status == 400)
      #expect(try server.get("/runs?limit=%35").json()["runs"]?.array?.count == 1)
      #expect(try server.get("/runs/%ff").status == 400)
      #expect(try server.get("/runs/\(run.replacing("-", with: "%2D"))").status == 200)
      for words in ["token,", ",token", "token,,step", ","] {
        let response = try server.get("/runs/\(run)/events?events=\(words)")
        #expect(response.status == 400, "\(words)")
        #expect(try response.errorSentence().hasPrefix("events: "))
      }
    }
  }
}
