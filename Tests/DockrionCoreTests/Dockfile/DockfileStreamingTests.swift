import Testing

@testable import DockrionCore

@Suite struct DockfileStreamingTests {
  private func filter(_ yaml: String) throws -> EventsFilter {
    try readSection("streaming:\n  events:\n    allowed: \(yaml)").streaming.filter
  }

  @Test func eventsAreAllowedByPresetOrByName() throws {
    #expect(try filter("minimal") == .minimal)
    #expect(try filter("chat") == .chat)
    #expect(try filter("debug") == .everything)
    #expect(try filter("all") == .everything)
    #expect(try filter("") == .everything)
    #expect(try filter("null") == .everything)
    #expect(try filter("[]") == .minimal)
    #expect(try filter("[started, complete]") == .minimal)
    let some = try filter("[token, custom:fraud_check]")
    #expect(some.passes(.token) && some.passes(custom: "fraud_check"))
    #expect(!some.passes(.step) && !some.passes(custom: "analytics"))
  }

  @Test func eachBadWordHasItsOwnLine() {
    let yaml = """
      streaming:
        events:
          allowed:
            - token
            - tokens
            - chat
            - custom:1x
            - [step]
            - ~
      """
    #expect(
      sectionErrors(yaml) == [
        "D:6:9: streaming.events.allowed[1]: \"tokens\" is no event; "
          + "use token, step, progress, checkpoint, heartbeat, custom or custom:NAME",
        "D:7:9: streaming.events.allowed[2]: \"chat\" is a preset and stands alone, not in a list",
        "D:8:9: streaming.events.allowed[3]: \"custom:1x\" is no event; "
          + "use token, step, progress, checkpoint, heartbeat, custom or custom:NAME",
        "D:9:9: streaming.events.allowed[4]: a list stands where an event's name is needed",
        "D:10:9: streaming.events.allowed[5]: null stands where an event's name is needed",
      ])
  }

  @Test func anUnknownPresetIsAnError() {
    let place = "D:4:14: streaming.events.allowed:"
    #expect(
      sectionErrors("streaming:\n  events:\n    allowed: chatty")
        == ["\(place) \"chatty\" is no preset; use minimal, chat, debug, all or a list of events"])
    #expect(
      sectionErrors("streaming:\n  events:\n    allowed: token") == [
        "\(place) \"token\" is no preset; use minimal, chat, debug, all or a list of events such as [token]"
      ])
    #expect(
      sectionErrors("streaming:\n  events:\n    allowed: {token: true}")
        == ["\(place) a mapping stands where a preset or a list of events is needed"])
  }

  @Test func theBackendIsMemoryOrRedis() throws {
    #expect(try readSection("streaming: {backend: memory}").streaming.redis == nil)
    #expect(
      sectionErrors("streaming: {backend: redis}").first?.contains("streaming.redis.url: missing") == true)
    #expect(
      sectionErrors("streaming: {backend: kafka}")
        == ["D:2:22: streaming.backend: \"kafka\" is no backend; use memory or redis"])
  }

  @Test(arguments: [
    "http://:secret@localhost", "rediss://:secret@localhost", "redis://:secret@", "redis://:secret%zz@h",
    "redis://a:secret@h:0",
    "redis://a:secret@h:99999", "redis://:secret@h/x", "redis://:secret@h?timeout=5", "unix://:secret@host/x",
    "unix:", "redis://:se cret@h",
  ])
  func aRedisURLThatIsNoneIsRefusedAndItsPasswordNotShown(_ url: String) {
    let messages = sectionErrors("streaming: {redis: {url: '\(url)'}}")
    #expect(messages.count == 1 && messages[0].hasPrefix("D:2:26: streaming.redis.url: "), "\(messages)")
    #expect(!messages.joined().contains("cret"), "\(messages)")
  }

  @Test func aRedisURLHasItsPartsAndDescribesItselfWithoutThePassword() throws {
    let full = try RedisURL("redis://app:p%40ss@[::1]:6380/3")
    #expect(full.place == .tcp(host: "::1", port: 6380))
    #expect(full.user == "app" && full.password == "p@ss" && full.database == 3)
    #expect(full.description == "redis://app@[::1]:6380/3")
    #expect(try RedisURL("redis://:pw@cache").place == .tcp(host: "cache", port: 6379))
    #expect(try RedisURL("redis://:pw@cache").user == nil)
    let socket = try RedisURL("unix:///run/redis.sock")
    #expect(socket.place == .unix(path: "/run/redis.sock") && socket.description == "unix:///run/redis.sock")
  }

  @Test func idsAreUuids() throws {
    _ = try readSection("streaming: {id_generator: {type: uuid}}")
    #expect(
      sectionErrors("streaming: {id_generator: {type: custom, handler: 'a:b'}}") == [
        "D:2:34: streaming.id_generator.type: \"custom\" is not available; ids are made as uuid",
        "D:2:51: streaming.id_generator.handler: a handler for ids is not available; leave it out, "
          + "and ids are made as uuid",
      ])
  }

  @Test func theGuidesBasicConfigurationIsRead() throws {
    let yaml = """
      # Enable streaming in expose
      expose:
        rest: true
        streaming: sse
        port: 8080

      # Configure streaming behavior
      streaming:
        async_runs: true        # Enable /runs endpoint (Pattern B)
        backend: memory         # Backend: memory or redis
        events:
          allowed: chat         # Preset or list
          heartbeat_interval: 15
          max_run_duration: 3600
      """
    let dockfile = try readSection(yaml)
    #expect(dockfile.streaming.filter == .chat && dockfile.warnings.isEmpty)
  }

  @Test func theGuidesListsOfEventsAreRead() throws {
    let explicit = try readSection(
      """
      streaming:
        events:
          allowed:
            - token
            - step
            - custom:fraud_check    # Specific custom event
            - custom:analytics
      """
    ).streaming.filter
    #expect(explicit.passes(custom: "analytics") && !explicit.passes(custom: "other"))
    let custom = try readSection(
      """
      streaming:
        events:
          allowed:
            - token
            - step
            - custom  # Wildcard: all custom events allowed
      """
    ).streaming.filter
    #expect(custom.passes(custom: "other") && !custom.passes(.progress))
  }

  @Test func theGuidesRedisConfigurationIsTaken() throws {
    let streaming = try readSection(
      """
      streaming:
        async_runs: true
        backend: redis
        redis:
          url: redis://localhost:6379
          stream_ttl_seconds: 3600
          max_events_per_run: 1000
          connection_pool_size: 10
      """
    ).streaming
    #expect(streaming.redis?.url.description == "redis://localhost:6379/0")
    #expect(streaming.redis?.connections == 10 && streaming.retentionSeconds == 3600)
    #expect(streaming.maxEventsPerRun == 1000)
  }
}
