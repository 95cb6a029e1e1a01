import Testing

/// Section 10: what the Dockfile lets through, and what a subscription narrows further.
@Suite(.sharesMachine) struct FilterTests {
  private static let everyType = #"""
    {"emit":[
      {"type":"progress","step":"a","progress":0.5},{"type":"checkpoint","name":"c","data":{}},
      {"type":"step","node_name":"s"},{"type":"custom","name":"alpha","data":{}},
      {"type":"custom","name":"beta","data":{}}
    ],"tokens":2}
    """#
  private static let everything = ["progress", "checkpoint", "step", "alpha", "beta", "token", "token"]

  @Test(
    arguments: Backend.allCases,
    [
      ("minimal", []), ("chat", ["step", "token", "token"]), ("debug", everything), ("all", everything),
      ("[token]", ["token", "token"]), ("[step, progress]", ["progress", "step"]),
      ("[custom]", ["alpha", "beta"]), ("[\"custom:beta\", token]", ["beta", "token", "token"]),
      ("[checkpoint, started, complete]", ["checkpoint"]), ("[heartbeat]", []),
    ])
  func theDockfilesFilterLeavesNoHoleInTheSequence(_ backend: Backend, _ filter: (String, [String])) throws {
    let (allowed, passing) = filter
    try withServer(on: backend, "scripted", streaming: "events: {allowed: \(allowed)}") { server throws in
      let direct = try server.invokeStream(Self.everyType, headers: ["X-Request-Id: r"]).remainingEvents()
      expectWholeStream(direct, idField: "request_id", id: "r")
      #expect(direct.map(\.type) == ["started"] + passing + ["complete"])
      let run = try server.completedRun(Self.everyType)
      let stored = try server.subscribe(to: run).remainingEvents()
      expectWholeStream(stored, idField: "run_id", id: run)
      #expect(stored.map(\.type) == ["started"] + passing + ["complete"])
      #expect(try server.run(run)["last_sequence"]?.int == passing.count + 2)
    }
  }

  @Test func withoutAFilterEverythingPasses() throws {
    try withServer(dockfile("scripted")) { server throws in
      let events = try server.invokeStream(Self.everyType).remainingEvents()
      #expect(events.map(\.type) == ["started"] + Self.everything + ["complete"])
    }
  }

  @Test(
    arguments: Backend.allCases,
    [
      ("token", ["token", "token"]), ("token,step", ["step", "token", "token"]),
      ("custom", ["alpha", "beta"]),
      ("custom:alpha", ["alpha"]), ("minimal", []), ("chat", ["step", "token", "token"]), ("all", everything),
    ])
  func aSubscriptionNarrowsItsOwnEventsAndKeepsTheirSequences(
    _ backend: Backend, _ filter: (String, [String])
  ) throws {
    let (words, passing) = filter
    try withServer(on: backend, "scripted") { server throws in
      let run = try server.completedRun(Self.everyType)
      let all = try server.subscribe(to: run).remainingEvents()
      let narrowed = try server.subscribe(to: run, query: "?events=\(words)").remainingEvents()
      #expect(narrowed.map(\.type) == ["started"] + passing + ["complete"])
      let expected = all.filter { event in
        ["started", "complete"].contains(event.type) || passing.contains(event.type)
      }
      #expect(narrowed.map(\.data) == expected.map(\.data))
      #expect(narrowed.map(\.id) == expected.map(\.id))
    }
  }

  @Test(arguments: Backend.allCases)
  func aSubscriptionCannotWidenTheDockfilesFilter(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {allowed: [step]}") { server throws in
      let run = try server.completedRun(Self.everyType)
      let events = try server.subscribe(to: run, query: "?events=all").remainingEvents()
      #expect(events.map(\.type) == ["started", "step", "complete"])
    }
  }

  @Test(arguments: Backend.allCases)
  func aCustomNameMayHaveDotsColonsAndDashes(_ backend: Backend) throws {
    try withServer(on: backend, "scripted", streaming: "events: {allowed: ['custom:tool.call-x:y']}") {
      server throws in
      let run = try server.completedRun(
        #"{"tokens":1,"emit":[{"type":"custom","name":"tool.call-x:y","data":{"n":1}},"#
          + #"{"type":"custom","name":"tool.call-x","data":{}}]}"#)
      for query in ["", "?events=custom:tool.call-x:y"] {
        let events = try server.subscribe(to: run, query: query).remainingEvents()
        #expect(events.map(\.type) == ["started", "tool.call-x:y", "complete"], "\(query)")
        #expect(try events[1].json()["n"] == 1)
      }
    }
  }

  @Test func anUnknownWordInTheQueryIs400() throws {
    try withServer(dockfile("scripted")) { server throws in
      let run = try server.completedRun("{}")
      for words in ["tokens", "token,bogus", "custom:", "custom:-name"] {
        let response = try server.get("/runs/\(run)/events?events=\(words)")
        #expect(response.status == 400, "\(words)")
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        #expect(try response.errorSentence().contains("events"), "\(response.text)")
      }
    }
  }

  @Test(arguments: Backend.allCases)
  func theSubscribersFilterAppliesToLiveEventsToo(_ backend: Backend) throws {
    try withServer(on: backend, "scripted") { server throws in
      let run = try server.startRun(
        #"{"emit":[{"type":"sleep","ms":300},{"type":"progress","step":"a","progress":1},{"type":"step","node_name":"s"}],"tokens":3}"#
      )
      let events = try server.subscribe(to: run, query: "?events=step").remainingEvents()
      #expect(events.map(\.type) == ["started", "step", "complete"])
      #expect(events.map(\.sequence) == [1, 3, 7])
    }
  }
}
