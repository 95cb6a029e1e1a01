import Testing

@testable import DockrionCore

/// One integer key: where it stands, its range, and where the model keeps it.
struct IntegerKey: Sendable, CustomTestStringConvertible {
  let path: [String]
  let range: ClosedRange<Int>
  var unit = ""
  let read: @Sendable (Dockfile) -> Int

  var testDescription: String { path.joined(separator: ".") }

  func yaml(_ value: String) -> String {
    path.enumerated().map { index, key in
      String(repeating: "  ", count: index) + key + ":" + (index == path.count - 1 ? " " + value : "")
    }.joined(separator: "\n")
  }

  static let all: [IntegerKey] = [
    IntegerKey(path: ["expose", "port"], range: 1...65_535) { $0.expose.port },
    IntegerKey(path: ["streaming", "events", "heartbeat_interval"], range: 1...300, unit: " seconds") {
      $0.streaming.heartbeatSeconds
    },
    IntegerKey(path: ["streaming", "events", "max_run_duration"], range: 1...86_400, unit: " seconds") {
      $0.streaming.maxRunSeconds
    },
    IntegerKey(path: ["streaming", "connection", "default_timeout"], range: 1...3600, unit: " seconds") {
      $0.streaming.defaultTimeoutSeconds
    },
    IntegerKey(path: ["streaming", "connection", "max_subscribers_per_run"], range: 1...100_000) {
      $0.streaming.maxSubscribersPerRun
    },
    IntegerKey(path: ["streaming", "memory", "max_events_per_run"], range: 10...100_000) {
      $0.streaming.maxEventsPerRun
    },
    IntegerKey(path: ["streaming", "memory", "retention_seconds"], range: 60...604_800, unit: " seconds") {
      $0.streaming.retentionSeconds
    },
    IntegerKey(
      path: ["streaming", "memory", "max_bytes"], range: 1_048_576...1_099_511_627_776, unit: " bytes"
    ) {
      $0.streaming.maxLogBytes
    },
    IntegerKey(path: ["streaming", "redis", "stream_ttl_seconds"], range: 60...604_800, unit: " seconds") {
      $0.streaming.retentionSeconds
    },
    IntegerKey(path: ["runtime", "max_concurrent_runs"], range: 1...1_000_000) {
      $0.runtime.maxConcurrentRuns
    },
    IntegerKey(path: ["runtime", "max_connections"], range: 1...1_000_000) { $0.runtime.maxConnections },
    IntegerKey(path: ["runtime", "worker_threads"], range: 1...240) { $0.runtime.workerThreads },
    IntegerKey(path: ["runtime", "ring_capacity"], range: 2...65_536) { $0.runtime.ringCapacity },
    IntegerKey(path: ["runtime", "stall_timeout_seconds"], range: 1...3600, unit: " seconds") {
      $0.runtime.stallTimeoutSeconds
    },
    IntegerKey(path: ["runtime", "shutdown_grace_seconds"], range: 0...3600, unit: " seconds") {
      $0.runtime.shutdownGraceSeconds
    },
    IntegerKey(path: ["runtime", "max_body_bytes"], range: 1...1_073_741_824, unit: " bytes") {
      $0.runtime.maxBodyBytes
    },
    IntegerKey(
      path: ["runtime", "max_buffered_bytes"], range: 33_554_432...1_099_511_627_776, unit: " bytes"
    ) {
      $0.runtime.maxBufferedBytes
    },
    IntegerKey(
      path: ["runtime", "max_payload_bytes"], range: 1_048_576...1_099_511_627_776, unit: " bytes"
    ) {
      $0.runtime.maxPayloadBytes
    },
    IntegerKey(path: ["runtime", "request_timeout_seconds"], range: 1...3600, unit: " seconds") {
      $0.runtime.requestTimeoutSeconds
    },
    IntegerKey(path: ["runtime", "keep_alive_seconds"], range: 1...3600, unit: " seconds") {
      $0.runtime.keepAliveSeconds
    },
  ]
}

@Suite struct DockfileRangeTests {
  @Test(arguments: IntegerKey.all) func bothEdgesOfARangeAreInIt(_ key: IntegerKey) throws {
    for value in [key.range.lowerBound, key.range.upperBound] {
      #expect(key.read(try readSection(key.yaml("\(value)"))) == value)
      #expect(key.read(try readSection(key.yaml("\"\(value)\""))) == value)
    }
  }

  @Test func aFileThatAsksForMoreThreadsThanThereAreIsToldWhatItGets() throws {
    #expect(try warnings("runtime: {worker_threads: 120}") == [])
    #expect(
      try warnings("runtime: {worker_threads: 121}") == [
        "D:2:27: runtime.worker_threads: 121: asynchronous agents and those that block get 120 each, since a process "
          + "can have 255 such threads"
      ])
  }

  @Test(arguments: IntegerKey.all) func theNeighboursOfBothEdgesAreErrorsWithTheirPlace(
    _ key: IntegerKey
  ) {
    let line = key.path.count + 1
    let column = 2 * (key.path.count - 1) + key.path[key.path.count - 1].count + 3
    let needed = "(\(key.range.lowerBound)…\(key.range.upperBound)\(key.unit))"
    let outside = [
      "\(key.range.lowerBound - 1)", "\(key.range.upperBound + 1)", "99999999999999999999999999",
    ]
    for value in outside {
      #expect(
        sectionErrors(key.yaml(value))
          == ["D:\(line):\(column): \(key.testDescription): \(value) is out of range \(needed)"])
    }
    for (value, shown) in [
      ("true", "true"), ("1.5", "1.5"), ("15.0", "15.0"), ("abc", "\"abc\""), ("[1]", "a list"),
      ("{a: 1}", "a mapping"), ("'1 2'", "\"1 2\""), ("0x10", "0x10"), ("010", "010"), ("1e3", "1e3"),
    ] {
      #expect(
        sectionErrors(key.yaml(value))
          == ["D:\(line):\(column): \(key.testDescription): \(shown) is not an integer \(needed)"])
    }
  }

  @Test(arguments: [("max_events_per_run", 10, 100_000), ("connection_pool_size", 1, 1000)])
  func theRedisSectionIsCheckedAlthoughItIsNotUsed(_ key: String, _ low: Int, _ high: Int) throws {
    for value in [low, high] { _ = try readSection("streaming:\n  redis:\n    \(key): \(value)") }
    for value in [low - 1, high + 1] {
      #expect(
        sectionErrors("streaming:\n  redis:\n    \(key): \(value)")
          == ["D:4:\(key.count + 7): streaming.redis.\(key): \(value) is out of range (\(low)…\(high))"])
    }
  }

  @Test func theRetentionOfMemoryWinsOverTheOneOfRedis() throws {
    let yaml = "streaming: {redis: {stream_ttl_seconds: 120}, memory: {retention_seconds: 240}}"
    #expect(try readSection(yaml).streaming.retentionSeconds == 240)
    #expect(try readSection("").streaming.retentionSeconds == 3600)
  }

  @Test(arguments: [
    ("256MiB", 256 << 20), ("64MB", 64_000_000), ("1GiB", 1 << 30), ("2048 KiB", 2 << 20), ("1TiB", 1 << 40),
    ("1_048_576", 1 << 20), ("1048576B", 1 << 20),
  ]) func bytesMayHaveAUnit(_ text: String, _ bytes: Int) throws {
    #expect(try readSection("streaming: {memory: {max_bytes: \(text)}}").streaming.maxLogBytes == bytes)
  }

  @Test func anUnknownUnitAndAFractionAreNoCountOfBytes() {
    for text in ["1mb", "1.5GiB", "1 GiBs", "MiB", "1  MiB"] {
      #expect(
        sectionErrors("streaming: {memory: {max_bytes: '\(text)'}}")
          == [
            "D:2:33: streaming.memory.max_bytes: \"\(text)\" is not an integer (1048576…1099511627776 bytes)"
          ])
    }
    #expect(
      sectionErrors("streaming: {memory: {max_bytes: 9000000000000TiB}}").first?.contains("is out of range")
        == true)
  }

  @Test(arguments: [(2, 2), (3, 4), (5, 8), (100, 128), (255, 256), (256, 256), (65_535, 65_536)])
  func aRingsCapacityIsRoundedUpToAPowerOfTwo(_ given: Int, _ taken: Int) throws {
    #expect(try readSection("runtime: {ring_capacity: \(given)}").runtime.ringCapacity == taken)
  }
}
