import Testing

/// What `/metrics` says of agents: errors by code, the time to the first event, how long they take.
@Suite(.sharesMachine) struct AgentMetricsTests {
  private func sum(_ metrics: Metrics, _ code: String) -> Double {
    metrics.sum("dockrion_agent_errors_total", ["code": code])
  }

  @Test func errorsAreCountedByCodeBehindEveryRoute() throws {
    let text = dockfile("scripted", "streaming: {events: {max_run_duration: 1}}")
    try withServer(text) { server throws in
      let before = try server.metrics()
      #expect(before.types["dockrion_agent_errors_total"] == "counter")
      #expect(before.sum("dockrion_agent_errors_total") == 0)
      let body = #"{"tokens":0,"fail":"no","code":"NO_TEXT"}"#
      #expect(try server.post("/invoke", body).status == 500)
      _ = try server.invokeStream(body).remainingEvents()
      _ = try server.waitForRun(try server.startRun(body), status: "failed")
      let endless = #"{"tokens":0,"hang":true}"#
      let run = try server.startRun(endless)
      let stream = try server.invokeStream(endless)
      #expect(try server.post("/invoke", endless).status == 504)
      _ = try stream.remainingEvents()
      _ = try server.waitForRun(run, status: "failed")
      #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
      let metrics = try server.metrics()
      #expect(sum(metrics, "NO_TEXT") == 3)
      #expect(sum(metrics, "RUN_TIMEOUT") == 3)
      #expect(metrics.sum("dockrion_agent_errors_total") == 6)
      #expect(metrics.sum("dockrion_run_duration_seconds_count") == 7)
    }
  }

  @Test func codesThatAgentsMakeUpCannotFillTheMetrics() throws {
    try withServer(dockfile("scripted")) { server throws in
      let connection = try server.connect()
      for number in 0..<100 {
        let body = #"{"tokens":0,"fail":"no","code":"CODE_\#(number)"}"#
        #expect(try connection.request("POST", "/invoke", body: body).status == 500)
      }
      for code in ["lower", "WITH \\\"QUOTES\\\"", "", "NEW\\nLINE"] {
        let body = #"{"tokens":0,"fail":"no","code":"\#(code)"}"#
        #expect(try connection.request("POST", "/invoke", body: body).status == 500)
      }
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_agent_errors_total") == 104)
      #expect(metrics.samples.count { $0.name == "dockrion_agent_errors_total" } == 33)
      #expect(sum(metrics, "other") == 72)
      #expect(sum(metrics, "CODE_0") == 1)
    }
  }

  @Test func theFirstEventIsTheAgentsOwn() throws {
    try withServer(dockfile("scripted")) { server throws in
      // 300 ms of silence behind `started`, then a token; and one that says nothing until its end.
      let late = #"{"emit":[{"type":"sleep","ms":300}],"tokens":1}"#
      #expect(try server.invokeStream(late).remainingEvents().count == 3)
      _ = try server.completedRun(#"{"emit":[{"type":"sleep","ms":300}],"tokens":0}"#)
      // Behind /invoke there are no events.
      #expect(try server.post("/invoke", #"{"tokens":5}"#).status == 200)
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_first_event_seconds_count") == 2)
      #expect(metrics.sum("dockrion_first_event_seconds_bucket", ["le": "0.25"]) == 0)
      #expect(metrics.sum("dockrion_first_event_seconds_sum") >= 0.6)
      #expect(metrics.sum("dockrion_run_duration_seconds_count") == 3)
      #expect(metrics.sum("dockrion_run_duration_seconds_bucket", ["le": "0.25"]) <= 1)
    }
  }

  @Test func durationsAreToldApartUpToTheTimeLimit() throws {
    try withServer(dockfile("scripted")) { server throws in
      let bounds = try server.metrics().samples.filter { $0.name == "dockrion_run_duration_seconds_bucket" }
        .compactMap { $0.labels["le"].flatMap(Double.init) }.filter(\.isFinite)
      #expect(bounds == bounds.sorted())
      // `max_run_duration` is 3600 unless a file says otherwise.
      #expect(bounds.last == 3600)
      #expect(bounds.count { $0 > 60 } >= 4)
    }
  }

  @Test func aCancelledRunsDurationIsItsTimeToTheCancel() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
      #expect(try server.request("DELETE", "/runs/\(run)").status == 200)
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_run_duration_seconds_count") == 1)
      #expect(metrics.sum("dockrion_agent_errors_total") == 0)
    }
  }

  @Test func theLimitsThatGaugesMayReachAreThereToo() throws {
    let text = dockfile(
      "echo",
      "runtime: {shutdown_grace_seconds: 0, max_concurrent_runs: 7, max_connections: 20}\n"
        + "streaming: {memory: {max_bytes: 2MiB}}")
    try withServer(text) { server throws in
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_active_runs_limit") == 7)
      #expect(metrics.sum("dockrion_connections_limit") == 20)
      #expect(metrics.sum("dockrion_log_limit_bytes") == 2_097_152)
      #expect(metrics.sum("process_max_fds") > metrics.sum("process_open_fds"))
    }
  }
}
