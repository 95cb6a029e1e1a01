import Testing

/// Several agents in one server: their routes, what each has of its own, and what the server says of them.
@Suite(.sharesMachine) struct SeveralAgentsTests {
  // MARK: Routes

  @Test func eachHasEveryNativeRouteBelowItsName() throws {
    try withAgents { server throws in
      for (name, framework) in [("support", "swift"), ("search", "custom")] {
        let prefix = "/agents/\(name)"
        let reply = try server.post(prefix + "/invoke", #"{"output":{"a":1}}"#)
        #expect(reply.status == 200)
        #expect(try reply.json()["metadata"]?["agent"]?.string == name)
        #expect(try reply.json()["metadata"]?["framework"]?.string == framework)
        let events = try server.stream("POST", prefix + "/invoke/stream", #"{"tokens":2}"#).remainingEvents()
        #expect(events.map(\.type) == ["started", "token", "token", "complete"])
        #expect(try events[0].json()["agent_name"]?.string == name)
        let run = try server.startRun(below: prefix, #"{"tokens":1}"#)
        _ = try server.waitForRun(run, status: "completed")
        #expect(try server.get("\(prefix)/runs/\(run)").json()["agent"]?.string == name)
        #expect(try server.stream("GET", "\(prefix)/runs/\(run)/events").remainingEvents().count == 3)
        #expect(try server.request("DELETE", "\(prefix)/runs/\(run)").errorCode() == "RUN_FINISHED")
        #expect(
          try server.get(prefix + "/runs").json()["runs"]?.array?.map { $0["run_id"]?.string } == [run])
        #expect(try server.get(prefix + "/info").json()["agent"]?["name"]?.string == name)
        #expect(try server.get(prefix + "/schema").json()["agent"]?.string == name)
      }
    }
  }

  @Test func withoutAPrefixItIsTheDefaults() throws {
    for (agents, name) in [
      (["name: a, handler: echo", "name: b, handler: echo"], "a"),
      (["name: a, handler: echo", "name: b, handler: echo, default: true"], "b"),
    ] {
      try withAgents(agents) { server throws in
        let body = #"{"text":"x"}"#
        #expect(try server.post("/invoke", body).json()["metadata"]?["agent"]?.string == name)
        let events = try server.invokeStream(body).remainingEvents()
        #expect(try events[0].json()["agent_name"]?.string == name)
        #expect(try server.run(server.completedRun(body))["agent"]?.string == name)
        for path in ["/info", "/schema", "/health"] {
          let reply = try server.get(path).json()
          #expect((reply["agent"]?["name"] ?? reply["agent"])?.string == name, "\(path)")
        }
      }
    }
  }

  @Test func whatIsNoAgentsHasNoPrefix() throws {
    try withAgents { server throws in
      for path in [
        "/agents/search/health", "/agents/search/ready", "/agents/search/metrics", "/agents/search/agents",
        "/agents/search/openapi.json", "/agents/search/", "/agents/search", "/agents/", "/agents//invoke",
        "/agents/search/agents/search/invoke", "/agents/search/runs/a/b", "/agents/search/runs/",
      ] {
        let reply = try server.get(path)
        #expect(reply.status == 404, "\(path)")
        #expect(try reply.errorCode() == "NOT_FOUND", "\(path)")
      }
      let refused = try server.get("/agents/search/invoke")
      #expect(refused.status == 405 && refused["Allow"] == "POST, OPTIONS")
      let options = try server.request("OPTIONS", "/agents/search/runs/x")
      #expect(options.status == 204 && options["Allow"] == "GET, DELETE, HEAD, OPTIONS")
      #expect(try server.request("HEAD", "/agents/search/info").status == 200)
    }
  }

  @Test func anUnknownNameIsAnsweredWithTheKnownOnes() throws {
    try withAgents { server throws in
      for path in [
        "/agents/serach/invoke", "/agents/serach/runs/x/events", "/agents/serach", "/agents/serach/none",
      ] {
        let reply = try server.post(path, "{}")
        #expect(reply.status == 404)
        #expect(try reply.errorCode() == "NOT_FOUND")
        #expect(try reply.errorSentence() == #"there is no agent "serach" here; there is support, search"#)
      }
      #expect(try server.get("/agents/%00/info").status == 404)
      #expect(try server.get("/agents/Search/info").status == 404)
    }
    let many = (0..<25).map { "name: agent-\($0), handler: echo" }
    try withAgents(many) { server throws in
      let sentence = try server.get("/agents/x/info").errorSentence()
      #expect(sentence.contains("agent-19 and 5 more, see /agents"))
    }
  }

  @Test func aSingleAgentHasNoPrefix() throws {
    try withServer(dockfile("echo")) { server throws in
      #expect(try server.get("/agents").status == 404)
      let reply = try server.post("/agents/test-agent/invoke", #"{"text":"x"}"#)
      #expect(reply.status == 404)
      #expect(
        try reply.errorSentence()
          == "there is nothing at /agents/test-agent/invoke: this server has one agent, test-agent, without a prefix"
      )
      #expect(try server.get("/info").json().names.contains("agents") == false)
    }
  }

  @Test func aListOfOneHasItsPrefix() throws {
    try withAgents(["name: only, handler: echo"]) { server throws in
      #expect(try server.post("/agents/only/invoke", #"{"text":"x"}"#).status == 200)
      #expect(try server.get("/agents").json()["agents"]?.array?.count == 1)
    }
  }

  @Test func theNamesMayBePercentEncoded() throws {
    try withAgents(["name: a.b-c_D, handler: echo", "name: b, handler: echo"]) { server throws in
      #expect(try server.get("/agents/a.b-c_D/info").status == 200)
      let created = try server.post("/agents/%61.b-c_D/runs", #"{"text":"x"}"#)
      #expect(created.status == 202)
      let place = try #require(created["Location"])
      #expect(try server.get(place).json()["agent"] == "a.b-c_D")
    }
  }

  // MARK: What each has of its own

  @Test func eachHasItsOwnSchemaFilterAndMetadata() throws {
    let agents = [
      "name: plain, handler: scripted",
      "name: own, handler: scripted, metadata: {team: own, more: 1}, streaming: {events: {allowed: [step]}}, "
        + "io_schema: {input: {type: object, required: [q]}, output: {type: object, required: [z]}}",
    ]
    let sections = "metadata: {team: all, site: x}\nio_schema: {output: {type: object}}"
    try withAgents(agents, sections: sections) { server throws in
      #expect(try server.post("/agents/plain/invoke", "{}").status == 200)
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        let refused = try server.post("/agents/own" + path, "{}")
        #expect(refused.status == 422, "\(path)")
        #expect(try refused.errorCode() == "VALIDATION_ERROR")
        #expect(try refused.errorSentence().contains("q"))
      }
      #expect(try server.get("/agents/own/schema").json()["input_schema"]?["required"] == ["q"])
      #expect(try server.get("/agents/own/schema").json()["output_schema"]?["required"] == ["z"])
      #expect(try server.get("/agents/plain/schema").json()["output_schema"] == ["type": "object"])
      #expect(
        try server.get("/agents/own/info").json()["metadata"] == ["team": "own", "site": "x", "more": 1])
      #expect(try server.get("/agents/plain/info").json()["metadata"] == ["team": "all", "site": "x"])
      let body = #"{"q":1,"tokens":2,"emit":[{"type":"step","node_name":"n"}]}"#
      let filtered = try server.stream("POST", "/agents/own/invoke/stream", body).remainingEvents()
      #expect(filtered.map(\.type) == ["started", "step", "complete"])
      let run = try server.startRun(below: "/agents/own", body)
      #expect(try server.subscribe(to: run).remainingEvents().map(\.type) == ["started", "step", "complete"])
      let whole = try server.stream("POST", "/agents/plain/invoke/stream", #"{"tokens":2}"#).remainingEvents()
      #expect(whole.map(\.type) == ["started", "token", "token", "complete"])
    }
  }

  // MARK: Documents

  @Test func theyAreListed() throws {
    try withAgents { server throws in
      #expect(
        try server.get("/agents").json() == [
          "agents": [
            ["name": "support", "framework": "swift", "description": "helps", "default": true],
            ["name": "search", "framework": "custom", "description": nil, "default": false],
          ]
        ])
      #expect(try server.get("/info").json()["agents"] == ["support", "search"])
      #expect(server.output.contains("serves support (default), search at http://127.0.0.1:"))
    }
  }

  @Test func readyIsAskedForEach() throws {
    try withAgents { server throws in
      #expect(try server.get("/ready").json()["agent"] == "support")
      let one = try server.get("/ready?agent=search")
      #expect(one.status == 200)
      #expect(try one.json()["agent"] == "search")
      let unknown = try server.get("/ready?agent=none")
      #expect(unknown.status == 404)
      #expect(try unknown.errorSentence() == #"there is no agent "none" here; there is support, search"#)
    }
  }

  @Test func openAPIHasTheRoutesOfEach() throws {
    let agents = [
      "name: plain, handler: echo",
      "name: own, handler: echo, io_schema: {input: {type: object, required: [q]}, output: {required: [z]}}",
    ]
    try withAgents(agents) { server throws in
      let document = try server.get("/openapi.json").json()
      let shared = [
        "/invoke", "/invoke/stream", "/runs", "/runs/{run_id}", "/runs/{run_id}/events", "/info", "/schema",
      ]
      let own = ["/", "/agents", "/health", "/metrics", "/openapi.json", "/ready"]
      let paths = shared + own + ["plain", "own"].flatMap { name in shared.map { "/agents/\(name)\($0)" } }
      #expect(document["paths"]?.names == paths.sorted())
      func schema(_ path: String) -> JSON? {
        document["paths"]?[path]?["post"]?["requestBody"]?["content"]?["application/json"]?["schema"]
      }
      #expect(schema("/agents/own/invoke")?["required"] == ["q"])
      #expect(schema("/agents/plain/invoke")?["required"] == ["text"])
      #expect(schema("/invoke") == schema("/agents/plain/invoke"))
      let output = document["components"]?["schemas"]?["Output-own"]
      #expect(output?["properties"]?["output"] == ["required": ["z"]])
      var operations: [String] = []
      for path in document["paths"]?.names ?? [] {
        for method in document["paths"]?[path]?.names ?? [] {
          if let id = document["paths"]?[path]?[method]?["operationId"]?.string { operations.append(id) }
        }
      }
      #expect(Set(operations).count == operations.count && operations.count == 33)
    }
  }

  @Test func theWelcomePageNamesThem() throws {
    try withAgents(["name: a, handler: echo, description: \"<b>&\"", "name: b, handler: echo"]) {
      server throws in
      let page = try server.get("/").text
      #expect(
        page.contains("<li><b>a</b>: &lt;b&gt;&amp; <code>/agents/a/…</code>, also without the prefix</li>"))
      #expect(page.contains("<li><b>b</b> <code>/agents/b/…</code></li>"))
    }
  }

  // MARK: Metrics

  @Test func theMetricsSayWhose() throws {
    try withAgents { server throws in
      let body = #"{"tokens":3}"#
      for _ in 0..<2 { #expect(try server.post("/agents/search/invoke", body).status == 200) }
      #expect(try server.post("/invoke", body).status == 200)
      #expect(try server.post("/agents/support/invoke", body).status == 200)
      _ = try server.stream("POST", "/agents/search/invoke/stream", body).remainingEvents()
      _ = try server.completedRun(body)
      let run = try server.startRun(below: "/agents/search", body)
      _ = try server.waitForRun(run, status: "completed")
      #expect(try server.post("/agents/search/invoke", #"{"fail":"no","code":"NO"}"#).status == 500)
      let metrics = try server.metrics()
      func requests(_ route: String, _ agent: String) -> Double {
        metrics.sum("dockrion_requests_total", ["route": route, "agent": agent])
      }
      #expect(requests("/invoke", "search") == 3 && requests("/invoke", "support") == 2)
      #expect(requests("/invoke/stream", "search") == 1 && requests("/invoke/stream", "support") == 0)
      #expect(requests("/runs", "search") == 1 && requests("/runs", "support") == 1)
      let completed = metrics.sum("dockrion_runs_total", ["status": "completed", "agent": "search"])
      #expect(completed == 1)
      #expect(metrics.sum("dockrion_events_total", ["type": "token", "agent": "search"]) == 6)
      #expect(metrics.sum("dockrion_events_total", ["type": "token", "agent": "support"]) == 3)
      #expect(metrics.sum("dockrion_agent_errors_total", ["code": "NO", "agent": "search"]) == 1)
      #expect(metrics.sum("dockrion_agent_errors_total", ["agent": "support"]) == 0)
      #expect(metrics.sum("dockrion_run_duration_seconds_count", ["agent": "search"]) == 5)
      #expect(metrics.sum("dockrion_run_duration_seconds_count", ["agent": "support"]) == 3)
      for name in [
        "dockrion_active_runs", "dockrion_runs_total", "dockrion_events_total",
        "dockrion_first_event_seconds_count",
      ] {
        #expect(metrics.labelNames(name).contains("agent"), "\(name)")
      }
    }
  }
}
