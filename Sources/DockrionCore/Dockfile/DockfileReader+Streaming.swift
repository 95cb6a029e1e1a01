extension DockfileReader {
  static let streamingKeys = [
    "async_runs", "backend", "redis", "memory", "events", "allow_client_ids", "id_generator", "connection",
  ]
  static let eventsKeys = ["allowed", "heartbeat_interval", "max_run_duration"]

  /// - Parameter runSeconds: how long an agent may run where the section does not say.
  func streaming(runSeconds: Int?) -> Dockfile.Streaming {
    let section = top.section("streaming", known: Self.streamingKeys)
    var streaming = Dockfile.Streaming()
    streaming.asyncRuns = section.bool("async_runs", default: streaming.asyncRuns)
    streaming.allowClientIDs = section.bool("allow_client_ids", default: streaming.allowClientIDs)
    let usesRedis = usesRedis(in: section)
    checkIDGenerator(in: section)

    let events = section.section("events", known: Self.eventsKeys)
    streaming.filter = filter(in: events)
    streaming.heartbeatSeconds = events.seconds(
      "heartbeat_interval", 1...300, default: streaming.heartbeatSeconds)
    streaming.maxRunSeconds = events.seconds(
      "max_run_duration", 1...86_400, default: runSeconds ?? streaming.maxRunSeconds)

    let connection = section.section("connection", known: ["default_timeout", "max_subscribers_per_run"])
    streaming.defaultTimeoutSeconds = connection.seconds(
      "default_timeout", 1...3600, default: streaming.defaultTimeoutSeconds)
    streaming.maxSubscribersPerRun = connection.int(
      "max_subscribers_per_run", 1...100_000, default: streaming.maxSubscribersPerRun)

    let redis = redis(in: section, isUsed: usesRedis)
    let memory = section.section("memory", known: ["max_events_per_run", "retention_seconds", "max_bytes"])
    streaming.maxEventsPerRun = memory.int(
      "max_events_per_run", 10...100_000, default: streaming.maxEventsPerRun)
    streaming.retentionSeconds = memory.seconds(
      "retention_seconds", 60...604_800, default: redis.retentionSeconds ?? streaming.retentionSeconds)
    streaming.maxLogBytes = memory.bytes(
      "max_bytes", (1 << 20)...(1 << 40), default: streaming.maxLogBytes)
    if usesRedis {
      streaming.redis = redis.redis
      if let seconds = redis.retentionSeconds { streaming.retentionSeconds = seconds }
      if let events = redis.maxEventsPerRun { streaming.maxEventsPerRun = events }
    }
    return streaming
  }

  private func usesRedis(in section: ConfigSection) -> Bool {
    guard let backend = section.given("backend") else { return false }
    switch backend.text {
    case "memory": return false
    case "redis": return true
    default:
      section.error("backend", "\(backend.shown) is no backend; use memory or redis")
      return false
    }
  }

  private func checkIDGenerator(in section: ConfigSection) {
    let generator = section.section("id_generator", known: ["type", "handler"])
    if let type = generator.given("type"), type.text != "uuid" {
      generator.error("type", "\(type.shown) is not available; ids are made as uuid")
    }
    if generator.given("handler") != nil {
      generator.error("handler", "a handler for ids is not available; leave it out, and ids are made as uuid")
    }
  }

  /// What the section says, which is checked also where the backend is another one; `stream_ttl_seconds` then
  /// counts all the same.
  private struct RedisSection {
    var redis: Dockfile.Redis?
    var retentionSeconds: Int?
    var maxEventsPerRun: Int?
  }

  private func redis(in section: ConfigSection, isUsed: Bool) -> RedisSection {
    let section = section.section(
      "redis",
      known: [
        "url", "key_prefix", "stream_ttl_seconds", "max_events_per_run", "connection_pool_size",
        "lease_seconds",
        "connect_timeout_seconds", "command_timeout_seconds", "max_pending_bytes",
      ])
    var read = RedisSection()
    read.maxEventsPerRun = section.optionalInt("max_events_per_run", 10...100_000)
    read.retentionSeconds = section.optionalInt("stream_ttl_seconds", 60...604_800, " seconds")
    var redis = redisURL(in: section, isUsed: isUsed).map(Dockfile.Redis.init(url:))
    let defaults = Dockfile.Redis(url: .local)
    let connections = section.int("connection_pool_size", 1...1000, default: defaults.connections)
    let lease = section.seconds("lease_seconds", 2...300, default: defaults.leaseSeconds)
    let connect = section.seconds("connect_timeout_seconds", 1...60, default: defaults.connectTimeoutSeconds)
    let command = section.seconds("command_timeout_seconds", 1...60, default: defaults.commandTimeoutSeconds)
    let pending = section.bytes(
      "max_pending_bytes", (64 << 10)...(1 << 30), default: defaults.maxPendingBytes)
    let prefix = keyPrefix(in: section) ?? defaults.keyPrefix
    redis?.connections = connections
    redis?.leaseSeconds = lease
    redis?.connectTimeoutSeconds = connect
    redis?.commandTimeoutSeconds = command
    redis?.maxPendingBytes = pending
    redis?.keyPrefix = prefix
    read.redis = redis
    return read
  }

  private func redisURL(in section: ConfigSection, isUsed: Bool) -> RedisURL? {
    guard let node = section.given("url") else {
      if isUsed {
        section.error(
          "url", "missing; with backend redis it says where Redis is, such as redis://localhost:6379")
      }
      return nil
    }
    guard let text = node.text, !text.contains(where: { $0.isWhitespace || $0.isNewline }) else {
      section.error(
        "url", "not a Redis URL; redis://[user:password@]host[:port][/db] or unix:///path is needed")
      return nil
    }
    do {
      return try RedisURL(text)
    } catch {
      // The value is not shown: it may hold a password.
      section.error("url", "\(error)")
      return nil
    }
  }

  private func keyPrefix(in section: ConfigSection) -> String? {
    guard let prefix = section.word("key_prefix") else { return nil }
    let isRight =
      (1...64).contains(prefix.utf8.count)
      && prefix.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}") }
    if !isRight {
      section.error("key_prefix", "1…64 printable ASCII characters other than { and } are needed")
    }
    return isRight ? prefix : nil
  }

  func filter(in events: ConfigSection) -> EventsFilter {
    guard let node = events.given("allowed") else { return .everything }
    switch node.content {
    case .scalar(let text, _):
      if let filter = EventsFilter(preset: text) { return filter }
      let presets = EventsFilter.presetNames.joined(separator: ", ")
      var message = "\(node.shown) is no preset; use \(presets) or a list of events"
      if (try? EventsFilter(words: [text])) != nil { message += " such as [\(text)]" }
      events.error("allowed", message)
    case .sequence(let elements):
      var words: [String] = []
      for (index, element) in elements.enumerated() where !element.isBroken {
        let field = "\(events.path("allowed"))[\(index)]"
        guard let word = element.text else {
          issues.error(field, at: element.place, "\(element.shown) stands where an event's name is needed")
          continue
        }
        do throws(EventsFilterError) {
          _ = try EventsFilter(words: CollectionOfOne(word))
          words.append(word)
        } catch {
          issues.error(field, at: element.place, "\(Self.cut(error))")
        }
      }
      return (try? EventsFilter(words: words)) ?? .everything
    default: events.error("allowed", "\(node.shown) stands where a preset or a list of events is needed")
    }
    return .everything
  }

  /// The error with its word cut and escaped like every other value.
  private static func cut(_ error: EventsFilterError) -> String {
    let prefix = "\"\(error.word)\""
    let text = error.description
    return text.hasPrefix(prefix) ? quoted(error.word) + text.dropFirst(prefix.count) : text
  }
}
