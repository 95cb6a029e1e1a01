extension DockfileReader {
  func streaming() -> Dockfile.Streaming {
    let section = top.section(
      "streaming",
      known: [
        "async_runs", "backend", "redis", "memory", "events", "allow_client_ids", "id_generator",
        "connection",
      ])
    var streaming = Dockfile.Streaming()
    streaming.asyncRuns = section.bool("async_runs", default: streaming.asyncRuns)
    streaming.allowClientIDs = section.bool("allow_client_ids", default: streaming.allowClientIDs)
    checkBackend(in: section)
    checkIDGenerator(in: section)

    let events = section.section("events", known: ["allowed", "heartbeat_interval", "max_run_duration"])
    streaming.filter = filter(in: events)
    streaming.heartbeatSeconds = events.seconds(
      "heartbeat_interval", 1...300, default: streaming.heartbeatSeconds)
    streaming.maxRunSeconds = events.seconds(
      "max_run_duration", 1...86_400, default: streaming.maxRunSeconds)

    let connection = section.section("connection", known: ["default_timeout", "max_subscribers_per_run"])
    streaming.defaultTimeoutSeconds = connection.seconds(
      "default_timeout", 1...3600, default: streaming.defaultTimeoutSeconds)
    streaming.maxSubscribersPerRun = connection.int(
      "max_subscribers_per_run", 1...100_000, default: streaming.maxSubscribersPerRun)

    let redisRetention = redisRetention(in: section)
    let memory = section.section("memory", known: ["max_events_per_run", "retention_seconds", "max_bytes"])
    streaming.maxEventsPerRun = memory.int(
      "max_events_per_run", 10...100_000, default: streaming.maxEventsPerRun)
    streaming.retentionSeconds = memory.seconds(
      "retention_seconds", 60...604_800, default: redisRetention ?? streaming.retentionSeconds)
    streaming.maxLogBytes = memory.bytes(
      "max_bytes", (1 << 20)...(1 << 40), default: streaming.maxLogBytes)
    return streaming
  }

  private func checkBackend(in section: ConfigSection) {
    guard let backend = section.given("backend") else { return }
    switch backend.text {
    case "memory": break
    case "redis":
      section.error("backend", "the Redis backend is not part of this version yet; use memory")
    default: section.error("backend", "\(backend.shown) is no backend; use memory")
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

  /// Checks the whole section and gives `stream_ttl_seconds`, which also counts for the memory backend.
  private func redisRetention(in section: ConfigSection) -> Int? {
    let redis = section.section(
      "redis", known: ["url", "stream_ttl_seconds", "max_events_per_run", "connection_pool_size"])
    // The value is not shown: a Redis URL may hold a password.
    if let url = redis.word("url"), !Self.isRedisURL(url) {
      redis.error("url", "this is no Redis URL; use redis://host:port or rediss://host:port")
    }
    _ = redis.optionalInt("max_events_per_run", 10...100_000)
    _ = redis.optionalInt("connection_pool_size", 1...1000)
    return redis.optionalInt("stream_ttl_seconds", 60...604_800, " seconds")
  }

  private static func isRedisURL(_ url: String) -> Bool {
    ["redis://", "rediss://", "unix://"].contains { url.hasPrefix($0) && url.count > $0.count }
      && !url.contains(where: \.isWhitespace)
  }

  private func filter(in events: ConfigSection) -> EventsFilter {
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
