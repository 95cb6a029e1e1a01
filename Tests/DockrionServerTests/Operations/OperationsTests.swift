import Testing

@Suite(.sharesMachine) struct OperationsTests {
  private static let described = """
    agent: {name: helper, description: Helps people, framework: swift, handler: echo}
    metadata: {team: support, tier: 2}
    io_schema:
      input: {type: object, required: [text], properties: {text: {type: string}}}
      output: {type: object, properties: {text: {type: string}}}
    """

  @Test func healthReadyInfoAndSchemaHaveTheirFields() throws {
    try withServer(Self.described) { server throws in
      let health = try server.get("/health").json()
      #expect(health.names == ["agent", "framework", "service", "status", "timestamp", "version"])
      #expect(health["status"] == "ok")
      #expect(health["service"] == "runtime:helper")
      #expect(health["agent"] == "helper")
      #expect(health["framework"] == "swift")
      let timestamp = health["timestamp"]?.string ?? ""
      #expect(timestamp.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/) != nil)

      #expect(try server.get("/ready").json() == ["success": true, "status": "ready", "agent": "helper"])

      let info = try server.get("/info").json()
      #expect(info.names == ["agent", "auth_enabled", "metadata", "success", "version"])
      #expect(info["success"] == true)
      #expect(
        info["agent"] == ["name": "helper", "framework": "swift", "description": "Helps people"])
      #expect(info["auth_enabled"] == false)
      #expect(info["metadata"] == ["team": "support", "tier": 2])
      #expect(info["version"] == health["version"])

      let schema = try server.get("/schema").json()
      #expect(schema.names == ["agent", "input_schema", "output_schema", "success"])
      #expect(schema["input_schema"]?["required"] == ["text"])
      #expect(schema["output_schema"]?["properties"]?["text"]?["type"] == "string")
    }
  }

  @Test func theWelcomePageIsHTMLAndShowsHowToTryIt() throws {
    try withServer(Self.described) { server throws in
      let page = try server.get("/")
      #expect(page["Content-Type"]?.hasPrefix("text/html") == true)
      #expect(page.text.contains("helper"))
      #expect(page.text.contains("curl"))
      #expect(page.text.contains("/invoke/stream"))
      #expect(page.text.contains("/runs"))
    }
  }

  @Test func theOpenAPIDocumentListsExactlyTheServedRoutes() throws {
    let all: [String: [String]] = [
      "/invoke": ["post"], "/invoke/stream": ["post"], "/runs": ["get", "post"],
      "/runs/{run_id}": ["delete", "get"], "/runs/{run_id}/events": ["get"], "/health": ["get"],
      "/ready": ["get"], "/metrics": ["get"], "/info": ["get"], "/schema": ["get"],
    ]
    try withServer(Self.described) { server throws in
      let document = try server.get("/openapi.json").json()
      #expect(document["openapi"]?.string?.hasPrefix("3.1") == true)
      for (path, methods) in all {
        let described = document["paths"]?[path]?.names.filter {
          ["get", "post", "delete", "put"].contains($0)
        }
        #expect(described == methods, "\(path)")
      }
    }
    for (reduced, kept) in [
      ("expose: {rest: false, streaming: none}", ["/runs", "/runs/{run_id}", "/runs/{run_id}/events"]),
      ("expose: {streaming: none}\nstreaming: {async_runs: false}", ["/invoke"]),
    ] {
      try withServer(dockfile("echo", reduced)) { server throws in
        let paths = try server.get("/openapi.json").json()["paths"]?.names ?? []
        #expect(paths.contains("/health"))
        #expect(paths.filter { $0.hasPrefix("/invoke") || $0.hasPrefix("/runs") } == kept)
      }
    }
  }

  @Test func theMetricsPageIsPrometheusTextAndNamesEveryMetric() throws {
    try withServer(dockfile("scripted")) { server throws in
      #expect(try server.post("/invoke", "{}").status == 200)
      #expect(
        try server.invokeStream(#"{"emit":[{"type":"custom","name":"mine","data":{}}]}"#).remainingEvents()
          .count == 19)
      _ = try server.completedRun("{}")
      let page = try server.get("/metrics")
      #expect(page["Content-Type"]?.hasPrefix("text/plain; version=0.0.4") == true)
      let metrics = try Metrics(text: page.text)
      let expected = [
        "dockrion_requests_total": ("counter", ["agent", "method", "route", "status"]),
        "dockrion_request_duration_seconds": ("histogram", ["route"]),
        "dockrion_active_runs": ("gauge", ["agent"]),
        "dockrion_runs_total": ("counter", ["agent", "status"]),
        "dockrion_open_streams": ("gauge", ["pattern"]),
        "dockrion_streams_closed_total": ("counter", ["reason"]),
        "dockrion_events_total": ("counter", ["agent", "type"]), "dockrion_sent_bytes_total": ("counter", []),
        "dockrion_emit_to_write_seconds": ("histogram", []),
        "dockrion_ring_full_waits_total": ("counter", []), "dockrion_loop_lag_seconds": ("histogram", []),
        "dockrion_log_bytes": ("gauge", []), "process_resident_memory_bytes": ("gauge", []),
        "process_open_fds": ("gauge", []), "process_start_time_seconds": ("gauge", []),
      ]
      for (name, (type, labels)) in expected {
        #expect(metrics.types[name] == type, "\(name)")
        #expect(metrics.helped.contains(name), "\(name)")
        let sample = type == "histogram" ? name + "_bucket" : name
        #expect(metrics.labelNames(sample).subtracting(["le"]) == Set(labels), "\(name)")
      }
      #expect(metrics.sum("dockrion_events_total", ["type": "custom"]) == 1)
      #expect(metrics.sum("dockrion_events_total", ["type": "mine"]) == 0)
      #expect(metrics.sum("dockrion_events_total", ["type": "token"]) == 32, "/invoke has no events")
      #expect(metrics.sum("dockrion_runs_total", ["status": "completed"]) == 1)
      #expect(metrics.sum("process_resident_memory_bytes") > 1e6)
      #expect(metrics.sum("process_open_fds") > 3)
    }
  }

  @Test func theMetricsCountRequestsStreamsAndRunsWithoutIdsInLabels() throws {
    try withServer(dockfile("scripted")) { server throws in
      let before = try server.metrics()
      let held = try server.invokeStream(#"{"hang":true,"tokens":1}"#)
      #expect(try held.event()?.type == "started")
      let run = try server.startRun(#"{"hang":true,"tokens":1}"#)
      let subscriber = try server.subscribe(to: run)
      #expect(try subscriber.event()?.type == "started")
      let during = try server.metrics()
      #expect(during.sum("dockrion_active_runs") == 2)
      #expect(during.sum("dockrion_open_streams") == 2)
      #expect(during.sum("dockrion_log_bytes") > before.sum("dockrion_log_bytes"))
      #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
      #expect(try subscriber.remainingEvents().last?.type == "cancelled")
      held.connection.close()
      let settled = try eventually(within: 5) {
        let metrics = try server.metrics()
        return metrics.sum("dockrion_active_runs") == 0 && metrics.sum("dockrion_open_streams") == 0
      }
      #expect(settled)
      let after = try server.metrics()
      #expect(after.sum("dockrion_streams_closed_total") == 2)
      #expect(after.sum("dockrion_sent_bytes_total") > before.sum("dockrion_sent_bytes_total"))
      #expect(!after.samples.contains { $0.labels.values.contains { $0.contains(run) } })
      #expect(after.sum("dockrion_requests_total", ["method": "DELETE", "status": "200"]) == 1)
    }
  }

  @Test func histogramsAreCumulativeAndAgreeWithTheirCount() throws {
    try withServer(dockfile("echo")) { server throws in
      for _ in 0..<20 { #expect(try server.post("/invoke", #"{"text":"Hi"}"#).status == 200) }
      let metrics = try server.metrics()
      let buckets = metrics.samples.filter {
        $0.name == "dockrion_request_duration_seconds_bucket" && $0.labels["route"] == "/invoke"
      }
      let counts = buckets.map(\.value)
      #expect(counts == counts.sorted())
      #expect(buckets.last?.labels["le"] == "+Inf")
      #expect(counts.last == 20)
      #expect(metrics.sum("dockrion_request_duration_seconds_count", ["route": "/invoke"]) == 20)
      #expect(metrics.sum("dockrion_request_duration_seconds_sum", ["route": "/invoke"]) > 0)
    }
  }
}
