import Testing

/// The OpenAPI document, held against what the server does.
@Suite(.sharesMachine) struct OpenAPITests {
  /// Requests that the document allows and requests that it forbids, made up from it; in every answer the status, the
  /// headers, the type and the body are as it says. A longer run: `--max-examples 2000` and another seed.
  @Test(arguments: [
    "", "expose: {allowed_hosts: [127.0.0.1], cors: true}",
    "auth: {mode: api_key, api_keys: {env_var: TEST_KEY}}",
  ]) func schemathesisFindsNoFailure(_ sections: String) throws {
    try withServer(dockfile("echo", sections), environment: ["TEST_KEY": "secret"]) { server throws in
      try runSchemathesis(server.port, examples: 20, "--header", "X-API-Key:secret")
    }
  }

  /// The routes of each agent, with its own schemas.
  @Test func schemathesisFindsNoFailureOfSeveralAgents() throws {
    let agents = [
      "name: plain, handler: echo",
      "name: own.one, handler: echo, io_schema: {input: {type: object, required: [text, lang], "
        + "properties: {text: {type: string}, lang: {enum: [en, de]}}}}",
    ]
    try withAgents(agents) { server throws in
      try runSchemathesis(server.port, examples: 10, tested: 32)
    }
  }

  private func runSchemathesis(_ port: Int, examples: Int, tested: Int = 13, _ options: String...) throws {
    let directory = try makeDirectory()
    defer { _ = try? runProgram("rm", ["-r", directory]) }
    let result = try runProgram(
      pythonTool("schemathesis"),
      [
        "run", "http://127.0.0.1:\(port)/openapi.json", "--checks", "all", "--max-examples", "\(examples)",
        "--seed",
        "1", "--generation-database", "none", "--request-timeout", "10", "--report", "junit", "--report-dir",
        directory,
      ] + options)
    #expect(result.code == 0, "\(result.output)")
    #expect(result.output.contains("Tested: \(tested)"), "\(result.output)")
  }

  @Test(arguments: Backend.allCases) func everyEventHasTheSchemaOfItsType(_ backend: Backend) throws {
    let streaming = "events: {heartbeat_interval: 1, max_run_duration: 2}"
    try withServer(on: backend, "scripted", streaming: streaming, maxEventsPerRun: 20) { server throws in
      let result = try runPython("check_events.py", "http://127.0.0.1:\(server.port)")
      try #require(result.code == 0, "\(result.output)")
      let seen = try JSON(result.output)
      let both: [JSON] = [
        "checkpoint", "complete", "error", "heartbeat", "mine", "progress", "started", "step", "token",
      ]
      #expect(seen["a"] == .array(both))
      let ofRuns = both + ["cancelled", "gap", "timeout"]
      #expect(Set((seen["b"]?.array ?? []).compactMap(\.string)) == Set(ofRuns.compactMap(\.string)))
    }
  }

  @Test func rangesPatternsAndStatusesAreTold() throws {
    try withServer(dockfile("echo")) { server throws in
      let document = try server.get("/openapi.json").json()
      let paths = document["paths"]
      let list = paths?["/runs"]?["get"]
      #expect(try schema("limit", list) == ["type": "integer", "minimum": 1, "maximum": 500, "default": 50])
      #expect(
        try schema("status", list)?["enum"] == ["accepted", "running", "completed", "failed", "cancelled"])
      let events = paths?["/runs/{run_id}/events"]?["get"]
      #expect(try schema("timeout", events) == ["type": "integer", "minimum": 1, "maximum": 3600])
      #expect(try schema("from_sequence", events)?["minimum"] == 0)
      // 413, 417, 431 and 501 are about the request as such, whatever it asks for.
      #expect(
        events?["responses"]?.names
          == ["200", "204", "400", "404", "413", "417", "429", "431", "501", "503"])
      let starts = ["200", "400", "403", "413", "415", "417", "422", "429", "431", "501", "503", "504"]
      #expect(paths?["/invoke/stream"]?["post"]?["responses"]?.names == starts)
      #expect(paths?["/invoke"]?["post"]?["responses"]?.names == (starts + ["500"]).sorted())
      #expect(try schema("run_id", paths?["/runs"]?["post"]) != nil)
      let run = paths?["/runs/{run_id}"]?["parameters"]?.array?.first
      #expect(run?["schema"]?["pattern"] == "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")
    }
  }

  @Test func aRunsIDIsNoParameterWhereTheServerChoosesIt() throws {
    try withServer(dockfile("echo", "streaming: {allow_client_ids: false}")) { server throws in
      let document = try server.get("/openapi.json").json()
      #expect(try schema("run_id", document["paths"]?["/runs"]?["post"]) == nil)
    }
  }

  /// The scripted agent may be told to fail, to hang and to take its time: its 500 and 504 are what was asked for. Its
  /// runs last long enough to be cancelled by DELETE, behind which they are still shown.
  @Test func schemathesisFindsNoFailureOfTheScriptedAgent() throws {
    let sections = """
      streaming: {allow_client_ids: false, events: {max_run_duration: 1}}
      runtime: {worker_threads: 240, shutdown_grace_seconds: 0}
      """
    try withServer(dockfile("scripted", sections)) { server throws in
      try runSchemathesis(server.port, examples: 10, "--exclude-checks", "not_a_server_error,use_after_free")
    }
  }

  @Test(arguments: [
    (#"{"emit":[{}]}"#, "/emit/0/type: it is required"),
    (#"{"emit":[{"type":"token"}]}"#, "/emit/0/content: it is required"),
    (#"{"tokens":10000001}"#, "/tokens: 10000001 is out of range (0…10000000)"),
    (#"{"block_ms":-1}"#, "/block_ms: -1.0 is out of range (0.0…3600000.0)"),
  ])
  func aScriptThatCannotBePlayedIsRefusedBeforeItStarts(_ payload: String, _ message: String) throws {
    try withServer(dockfile("scripted")) { server throws in
      for path in ["/invoke", "/invoke/stream", "/runs"] {
        let reply = try server.post(path, payload)
        #expect(reply.status == 422)
        let error = try reply.json()["error"]?.string
        #expect(error == "the payload does not fit the input schema: \(message)")
      }
    }
  }

  private func schema(_ name: String, _ operation: JSON?) throws -> JSON? {
    operation?["parameters"]?.array?.first { $0["name"]?.string == name }?["schema"]
  }
}
