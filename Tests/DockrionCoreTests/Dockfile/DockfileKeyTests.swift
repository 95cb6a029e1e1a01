import Testing

@testable import DockrionCore

@Suite struct DockfileKeyTests {
  @Test func aFileWithANameAloneHoldsTheDefaults() throws {
    let dockfile = try read("agent:\n  name: support-bot\n")
    #expect(dockfile.agent.lookupName == "support-bot")
    #expect(dockfile.agent.framework == "swift")
    #expect(dockfile.expose.rest && dockfile.expose.streaming && dockfile.streaming.asyncRuns)
    #expect(dockfile.expose.host == "0.0.0.0" && dockfile.expose.port == 8080)
    #expect(dockfile.expose.cors == nil && dockfile.expose.unixSocket == nil)
    #expect(dockfile.streaming.filter == .everything && dockfile.streaming.heartbeatSeconds == 15)
    #expect(dockfile.auth == .none && dockfile.metadata.isEmpty && dockfile.warnings.isEmpty)
    #expect(dockfile.inputSchema == nil && dockfile.outputSchema == nil)
  }

  @Test func nullIsTheSameAsAbsent() throws {
    let dockfile = try readSection("expose: {port: ~, cors: null, host: }\nstreaming:\nmetadata: null")
    #expect(dockfile.expose.port == 8080 && dockfile.expose.cors == nil)
    #expect(dockfile.expose.host == "0.0.0.0" && dockfile.warnings.isEmpty)
  }

  @Test func theVersionIs10OrAbsent() throws {
    _ = try readSection("version: 1.0")
    _ = try readSection("version: \"1.0\"")
    #expect(sectionErrors("version: 1") == ["D:2:10: version: 1 is not supported; the version is \"1.0\""])
    #expect(
      sectionErrors("version: '2.0'") == ["D:2:10: version: \"2.0\" is not supported; the version is \"1.0\""]
    )
  }

  @Test func anAgentHasAName() throws {
    let longest = String(repeating: "a", count: 128)
    for name in ["a", "0", "A.b-c_d", "9lives", longest] {
      #expect(try read("agent: {name: \(name)}").agent.name == name)
    }
    for name in ["-a", ".a", "_a", "a b", "ä", longest + "a", "a/b"] {
      let messages = errors("agent: {name: '\(name)'}")
      #expect(messages.count == 1)
      #expect(messages.first?.hasPrefix("D:1:15: agent.name: \"\(name.prefix(60))") == true)
      #expect(messages.first?.contains("is not a name; use 1 to 128 letters") == true)
    }
    #expect(errors("agent: {name: ''}").first?.contains("\"\" is not a name") == true)
    #expect(errors("version: 1.0") == ["D: agent.name: the agent's name is missing"])
    #expect(errors("agent: {}") == ["D:1:8: agent.name: the agent's name is missing"])
    #expect(errors("agent: {name: }").map { $0.hasSuffix("the agent's name is missing") } == [true])
    #expect(errors("agent: bot") == ["D:1:8: agent: \"bot\" stands where a mapping is needed"])
    #expect(errors("agent: {name: [a]}") == ["D:1:15: agent.name: a list stands where text is needed"])
  }

  @Test func theHandlerIsLookedUpBeforeTheEntrypointAndTheName() throws {
    #expect(try read("agent: {name: n, entrypoint: e}").agent.lookupName == "e")
    let agent = try read("agent: {name: n, entrypoint: e, handler: h, framework: custom, description: d}")
      .agent
    #expect(agent.lookupName == "h" && agent.framework == "custom" && agent.description == "d")
    #expect(errors("agent: {name: n, handler: ''}").count == 1)
  }

  @Test func streamingIsSseOrNone() throws {
    for (word, flag) in [("sse", true), ("true", true), ("none", false), ("false", false), ("off", false)] {
      #expect(try readSection("expose: {streaming: \(word)}").expose.streaming == flag)
    }
    #expect(
      sectionErrors("expose: {streaming: websocket}") == [
        "D:2:21: expose.streaming: \"websocket\" is not available: this server streams Server-Sent Events only; "
          + "use sse"
      ])
    #expect(
      sectionErrors("expose: {streaming: 5}")
        == ["D:2:21: expose.streaming: 5 is no way to stream; use sse or none"])
  }

  @Test func aBooleanIsABoolean() throws {
    #expect(try readSection("expose: {rest: no}").expose.rest == false)
    #expect(try readSection("expose: {rest: \"false\"}").expose.rest == false)
    #expect(try readSection("streaming: {allow_client_ids: false}").streaming.allowClientIDs == false)
    #expect(
      sectionErrors("expose:\n  rest: 1\nstreaming: {async_runs: maybe, allow_client_ids: 0}") == [
        "D:3:9: expose.rest: 1 is neither true nor false",
        "D:4:25: streaming.async_runs: \"maybe\" is neither true nor false",
        "D:4:50: streaming.allow_client_ids: 0 is neither true nor false",
      ])
  }

  @Test func somethingMustBeServed() throws {
    let nothing = "expose: {rest: false, streaming: none}\nstreaming: {async_runs: false}"
    #expect(
      sectionErrors(nothing)
        == ["D:2:9: expose: nothing is served; turn on rest, streaming or streaming.async_runs"])
    _ = try readSection("expose: {rest: false, streaming: none}")
  }

  @Test func aHostIsAnAddressOrLocalhost() throws {
    for host in ["127.0.0.1", "::1", "0.0.0.0", "localhost", "::"] {
      #expect(try readSection("expose: {host: '\(host)'}").expose.host == host)
    }
    for host in ["example.com", "256.1.1.1", "[::1]", "1.2.3", "127.0.0.1:80"] {
      #expect(
        sectionErrors("expose: {host: '\(host)'}") == [
          "D:2:16: expose.host: \"\(host)\" is no address to listen on; "
            + "use an IPv4 or IPv6 address or \"localhost\""
        ])
    }
  }

  @Test func aSocketsPathHasAtMost107BytesAndWinsOverThePort() throws {
    let longest = "/" + String(repeating: "s", count: 106)
    #expect(try readSection("expose: {unix_socket: \(longest)}").expose.unixSocket == longest)
    #expect(
      sectionErrors("expose: {unix_socket: \(longest)s}").first?.hasSuffix(
        "has 108 bytes; a socket's path has at most 107") == true)
    #expect(
      try warnings("expose: {unix_socket: /s, port: 80, host: localhost}") == [
        "D:2:33: expose.port: the port has no effect: unix_socket is given, and the server listens there"
      ])
    #expect(sectionErrors("expose: {unix_socket: \"a\\0b\"}").count == 1)
  }

  @Test func metadataIsKeptWithItsTypesAndItsOrder() throws {
    let yaml = """
      metadata:
        z: 1
        a: [true, 1.5, "2", ~, 0x10, .5, 1., yes, -3, 123456789012345678901234567890]
        m: {n: text}
      """
    let metadata = try readSection(yaml).metadata
    #expect(Array(metadata.names) == ["z", "a", "m"])
    #expect(
      metadata == [
        "z": 1,
        "a": [true, 1.5, "2", nil, 16, 0.5, 1.0, "yes", -3, .double(1.2345678901234568e29)],
        "m": ["n": "text"],
      ])
    #expect(sectionErrors("metadata: [a]") == ["D:2:11: metadata: a list stands where a mapping is needed"])
    #expect(
      sectionErrors("metadata:\n  a:\n    - .inf\n    - 1e999") == [
        "D:4:7: metadata.a[0]: .inf has no JSON form; a finite number is needed",
        "D:5:7: metadata.a[1]: 1e999 has no JSON form; a finite number is needed",
      ])
  }

  @Test func anUnknownKeyIsAWarningWithTheNearestKnownOne() throws {
    #expect(
      try warnings("expose:\n  prot: 80\nstreamin: {}\nstreaming: {events: {hartbeat_interval: 5}}\nzzz: 1")
        == [
          "D:3:3: expose.prot: this key is not known; did you mean port?",
          "D:4:1: streamin: this key is not known; did you mean streaming?",
          "D:5:22: streaming.events.hartbeat_interval: this key is not known; did you mean heartbeat_interval?",
          "D:6:1: zzz: this key is not known",
        ])
  }

  @Test func keysOfThePythonRuntimeHaveNoEffectAndSaySo() throws {
    let yaml = """
      policies: {a: "${UNSET}"}
      observability: {langfuse: {key: "${ALSO_UNSET"}}
      build: {}
      io_schema: {strict: true}
      auth: {mode: none, roles: [], rate_limits: {}}
      """
    let paths = [
      "policies", "observability", "build", "io_schema.strict", "auth.roles",
      "auth.rate_limits",
    ]
    let dockfile = try readSection(yaml)
    #expect(dockfile.warnings.map(\.field) == paths)
    #expect(dockfile.warnings.allSatisfy { $0.message == "this key has no effect here" })
  }

  @Test func allErrorsComeAtOnceInTheOrderOfTheFile() {
    let yaml = """
      expose:
        port: 0
        host: nowhere
      streaming:
        backend: kafka
        events:
          heartbeat_interval: 0
      agent:
        name: -x
      """
    #expect(
      errors(yaml).map { String($0.prefix { $0 != " " }) } == [
        "D:2:9:", "D:3:9:", "D:5:12:", "D:7:25:", "D:9:9:",
      ])
    #expect(
      errors(yaml)[3] == "D:7:25: streaming.events.heartbeat_interval: 0 is out of range (1…300 seconds)")
    #expect(DockfileError(issues: []).description == "")
    do throws(DockfileError) {
      _ = try Dockfile.parse(yaml, path: "D", environment: [:])
      Issue.record("the file was read")
    } catch {
      #expect(error.description.split(separator: "\n").count == 5)
    }
  }

  @Test func aLongValueIsCutAndStaysInOneLine() {
    let long = String(repeating: "x", count: 61)
    #expect(
      sectionErrors("expose: {host: \(long)}").first?.contains("\"\(long.dropLast())…\" is no address")
        == true)
    #expect(sectionErrors("expose: {host: \"a\\nb\"}").first?.contains("\"a\\nb\" is no address") == true)
  }
}
