import Foundation
import Testing

/// Agents in Python behind a real server.
@Suite(.sharesMachine) struct PythonAgentTests {
  @Test func theGuidesEventsComeWhileTheHandlerSleepsInBothPatterns() throws {
    try withServer(pythonDockfile(#"handler: "live:guide""#)) { server throws in
      for isRun in [false, true] {
        let release = try Release()
        let body = #"{"release":"\#(release.path)"}"#
        let id = isRun ? try server.startRun(body) : "q"
        let stream =
          isRun
          ? try server.subscribe(to: id) : try server.invokeStream(body, headers: ["X-Request-Id: q"])
        // The handler cannot end before this: it waits for the file.
        var events = try stream.events(through: "token")
        #expect(events.map(\.type) == ["started", "progress", "fraud_check", "step", "token"])
        try release.go()
        events += try stream.remainingEvents()
        expectWholeStream(events, idField: isRun ? "run_id" : "request_id", id: id)
        #expect(try events[0].json()["framework"] == "custom")
        #expect(events[1].data.hasSuffix(#","step":"processing","progress":0.5,"message":"Halfway done"}"#))
        #expect(events[2].data.hasSuffix(#","passed":true,"score":0.02}"#))
        #expect(try events[3].json()["duration_ms"] == 150)
        #expect(try events[3].json()["node"]?.string == (isRun ? nil : "my_node"))
        #expect(try events.last?.json()["output"]?["status"] == "done")
        #expect(events.last?.type == "complete")
      }
      let release = try Release()
      try release.go()
      let reply = try server.post("/invoke", #"{"release":"\#(release.path)"}"#)
      #expect(try reply.status == 200 && reply.json()["output"]?["status"] == "done")
      #expect(try server.get("/info").json()["agent"]?["framework"] == "custom")
    }
  }

  @Test func aLangGraphAgentStreamsItsTokensAndEvents() throws {
    let dockfile = pythonDockfile(
      #"entrypoint: "app.graph:build_graph", framework: langgraph"#,
      paths: projectFile("python/examples/langgraph-agent"))
    try withServer(dockfile) { server throws in
      let events = try server.invokeStream(#"{"question":"Where is my order 42?"}"#).remainingEvents()
      let types = events.map(\.type)
      #expect(types.first == "started" && types.last == "complete", "\(events.map(\.data))")
      #expect(types.contains("order") && types.contains("progress"))
      let tokens = try events.filter { $0.type == "token" }.compactMap { try $0.json()["content"]?.string }
      #expect(tokens.count > 3 && tokens.joined() == "Your order 42 is on its way.")
      let steps = try events.filter { $0.type == "step" }.compactMap { try $0.json()["node_name"]?.string }
      #expect(steps == ["look_up", "answer"])
      #expect(
        try events.last?.json()["output"]?["answer"] == "Your order 42 is on its way.")
      #expect(try events[0].json()["framework"] == "langgraph")
    }
  }

  @Test func aCancelledRunsTaskIsCancelled() throws {
    try withServer(pythonDockfile()) { server throws in
      let release = try Release()
      let (id, pid) = try server.heldRun(release.path)
      #expect(try server.request("DELETE", "/runs/\(id)").status == 200)
      #expect(try server.run(id)["status"] == "cancelled")
      #expect(release.wasCancelled())
      #expect(Processes.isAlive(pid))
      #expect(try eventually(within: 5) { try server.activeRuns == 0 })
    }
  }

  @Test func aClientThatLeavesCancelsItsAgent() throws {
    try withServer(pythonDockfile()) { server throws in
      let release = try Release()
      let stream = try server.invokeStream(#"{"do":"hold","release":"\#(release.path)"}"#)
      _ = try stream.events(through: "process")
      stream.connection.close()
      #expect(release.wasCancelled())
      #expect(try eventually(within: 5) { try server.activeRuns == 0 })
    }
  }

  @Test func aRunThatTakesTooLongIsCancelled() throws {
    let sections = "streaming: {events: {max_run_duration: 1}}"
    try withServer(pythonDockfile(sections: sections)) { server throws in
      let release = try Release()
      let (id, _) = try server.heldRun(release.path)
      let run = try server.waitForRun(id, status: "failed")
      #expect(run["error"]?["code"] == "RUN_TIMEOUT")
      #expect(release.wasCancelled())
    }
  }

  @Test func aHandlerThatSpinsKeepsNobodyWaiting() throws {
    try withServer(pythonDockfile(sections: "streaming: {events: {heartbeat_interval: 1}}")) {
      server throws in
      let release = try Release()
      let stream = try server.invokeStream(#"{"do":"spin","release":"\#(release.path)"}"#)
      _ = try stream.events(through: "process")
      // It spins until the file is there, so all of this happens meanwhile.
      for _ in 0..<50 { #expect(try server.get("/health").status == 200) }
      _ = try stream.events(through: "heartbeat")
      for _ in 0..<10 {
        #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      }
      try release.go()
      #expect(try stream.remainingEvents().last?.type == "complete")
    }
  }

  @Test func anAgentIsHeldBackWhileItsClientReadsNothing() throws {
    try withServer(pythonDockfile()) { server throws in
      let release = try Release()
      let count = 100_000
      let stream = try server.invokeStream(
        #"{"do":"flood","count":\#(count),"progress":"\#(release.path)"}"#, receiveBuffer: 4096)
      var last = -1
      let stands = eventually(within: 20) {
        usleep(300_000)
        let now = (try? String(contentsOfFile: release.path, encoding: .utf8)).flatMap {
          Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        defer { last = now ?? -1 }
        return now != nil && now == last
      }
      #expect(stands && last < count / 2, "it has emitted \(last) of \(count)")
      let events = try stream.eventsOfTheWhole(within: 30)
      #expect(events.count == count + 2 && events.last?.type == "complete")
      let tokens = try events.dropFirst().dropLast().map { try $0.json()["content"]?.string?.prefix(7) }
      #expect(tokens == (0..<count).map { String(format: "%07d", $0).prefix(7) })
    }
  }

  @Test func whatAgentsPrintAndLogIsInTheLogWithItsRun() throws {
    try withServer(pythonDockfile(), arguments: ["--host", "127.0.0.1", "--log-format", "json"]) {
      server throws in
      let id = try server.completedRun(#"{"do":"log"}"#)
      let printed = try server.log { $0["message"]?.string == "printed line" }[0]
      #expect(printed["run_id"]?.string == id && printed["level"] == "notice", "\(printed)")
      #expect(printed["agent"] == "test-agent" && printed["process"] != nil)
      let logged = try server.log { $0["message"]?.string == "logged line" }[0]
      #expect(logged["run_id"]?.string == id && logged["level"] == "warning", "\(logged)")
      _ = try server.log { $0["message"]?.string?.contains("warned line") == true }
      let raw = try server.log { $0["message"]?.string == "raw line" }
      #expect(raw[0]["run_id"] == nil)
    }
  }

  @Test func failuresAreToldAsTheProtocolSays() throws {
    try withServer(pythonDockfile()) { server throws in
      let failed = try server.post("/invoke", #"{"do":"fail"}"#)
      #expect(try failed.status == 500 && failed.errorCode() == "AGENT_ERROR")
      #expect(try failed.errorSentence() == "the agent failed")
      #expect(eventually(within: 5) { server.errorOutput.contains("ValueError: the secret text") })
      #expect(try server.post("/invoke", #"{"do":"text"}"#).errorCode() == "INVALID_OUTPUT")
      let events = try server.invokeStream(#"{"do":"text"}"#).remainingEvents()
      #expect(events.map(\.type) == ["started", "error"])
      #expect(try events[1].json()["code"] == "INVALID_OUTPUT")
    }
  }

  @Test func secretsAndVariablesReachTheProcesses() throws {
    let sections =
      "secrets: {optional: [{name: SOME_KEY, default: fallback}, {name: OTHER_KEY, default: unused}]}"
    let dockfile = pythonDockfile(
      python: "processes: 1, max_concurrent_runs: 5, cancel_grace_seconds: 3", sections: sections)
    try withServer(dockfile, environment: ["OTHER_KEY": "given"]) { server throws in
      let reply = try server.post("/invoke", #"{"do":"environment","names":["SOME_KEY","OTHER_KEY"]}"#).json()
      #expect(reply["output"]?["SOME_KEY"] == "fallback" && reply["output"]?["OTHER_KEY"] == "given")
    }
    let (code, message) = try failedStart(
      pythonDockfile(sections: "secrets: {required: [{name: DOCKRION_TEST_ONE}, {name: DOCKRION_TEST_TWO}]}"),
      arguments: ["--port", "0"])
    #expect(code == 1)
    #expect(message.contains("DOCKRION_TEST_ONE") && message.contains("DOCKRION_TEST_TWO"), "\(message)")
  }

  @Test func anAgentThatCannotBeImportedStopsTheStart() throws {
    for (handler, words) in [
      ("live:nothing", ["nothing", "live"]), ("no_such_module:run", ["no_such_module"]),
      ("broken:run", ["broken.py:2", "no_such_package", "pip install"]),
    ] {
      let folder = try makeDirectory()
      defer { try? FileManager.default.removeItem(atPath: folder) }
      try "import os\nimport no_such_package\n".write(
        toFile: "\(folder)/broken.py", atomically: true, encoding: .utf8)
      let dockfile = pythonDockfile(
        "handler: \"\(handler)\"", paths: "\(projectFile("Tests/python/agents")):\(folder)")
      let (code, message) = try failedStart(dockfile, arguments: ["--port", "0"])
      #expect(code == 1)
      for word in words { #expect(message.contains(word), "\(message)") }
    }
    let missing = pythonDockfile().replacing("/.venv/bin/python", with: "/.venv/bin/no-python")
    let (code, message) = try failedStart(missing, arguments: ["--port", "0"])
    #expect(code == 1 && message.contains("no-python"))
  }
}
