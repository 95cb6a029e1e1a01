import Foundation
import Testing

/// Several `dockrion` processes on one Redis.
///
///     try withInstances(redis: "lease_seconds: 2") { instances throws in
///       let run = try instances.a.startRun("{}")
///       #expect(try instances.b.get("/runs/\(run)").status == 200)
///     }
final class Instances {
  let redis: RedisProcess
  private(set) var servers: [ServerProcess] = []
  private let dockfile: String

  /// - Parameters:
  ///   - dockfile: that of every instance.
  ///   - ports: where they listen; empty: anywhere.
  init(_ count: Int, on redis: RedisProcess, _ dockfile: String, ports: [Int] = []) throws {
    self.redis = redis
    self.dockfile = dockfile
    for index in 0..<count { try add(port: ports.isEmpty ? 0 : ports[index]) }
  }

  var a: ServerProcess { servers[0] }
  var b: ServerProcess { servers[1] }
  var c: ServerProcess { servers[2] }

  /// Starts one more.
  ///
  /// - Parameter link: the way that it has to Redis, where that is not the direct one.
  @discardableResult
  func add(port: Int = 0, through link: RedisLink? = nil) throws -> ServerProcess {
    servers.append(try start(port: port, link))
    return servers[servers.count - 1]
  }

  /// Starts an instance that has ended anew, on the port that it had.
  func restart(_ index: Int) throws {
    precondition(servers[index].hasExited, "instance \(index) runs")
    servers[index] = try start(port: servers[index].port)
  }

  private func start(port: Int, _ link: RedisLink? = nil) throws -> ServerProcess {
    let text = link.map { dockfile.replacing("127.0.0.1:\(redis.port)", with: "127.0.0.1:\($0.port)") }
    return try ServerProcess(text ?? dockfile, arguments: ["--host", "127.0.0.1", "--port", "\(port)"])
  }

  /// Ends it as `kill -9` does, and waits until it is gone.
  func kill(_ server: ServerProcess) throws {
    server.signal(SIGKILL)
    guard server.waitForExit(within: 5) == 128 + SIGKILL else {
      throw ClientError("the server ended before it was killed: \(server.errorOutput.suffix(2000))")
    }
  }

  /// Waits until every instance has found Redis.
  func waitUntilReady(within seconds: Double = 15) throws {
    for (index, server) in servers.enumerated() where !server.hasExited {
      let ready = try eventually(within: seconds) { try server.get("/ready").status == 200 }
      guard ready else {
        throw ClientError("instance \(index) is not ready \(seconds) s after Redis is there")
      }
    }
  }

  fileprivate var state: String {
    servers.enumerated().map { index, server in
      "\nof instance \(index), which \(server.hasExited ? "has exited" : "runs"): "
        + server.errorOutput.suffix(1500)
    }.joined()
  }
}

/// Runs `count` servers on a Redis of their own; when `body` is done, stops with SIGTERM those that it has not
/// killed and expects exit code 0.
///
/// - Parameters:
///   - keys: further members of `streaming.redis`, in YAML's flow form; the default lets nothing be trimmed.
///   - streaming: further members of `streaming`.
///   - sections: further sections of the Dockfile.
///   - ports: where the instances listen, for those that come back at the same place; empty: anywhere.
func withInstances(
  _ count: Int = 2, ports: [Int] = [], options: RedisProcess.Options = .init(), redis keys: String = "",
  streaming: String = "", sections: String = "", sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Instances) throws -> Void
) throws {
  let redis = try RedisProcess(options)
  let members = keys.contains("max_events_per_run") ? [keys] : ["max_events_per_run: 100000", keys]
  let text = redisDockfile(
    redis.url, redis: members.filter { !$0.isEmpty }.joined(separator: ", "), streaming: streaming,
    sections: sections)
  let instances = try Instances(count, on: redis, text, ports: ports)
  do {
    try instances.waitUntilReady()
    try body(instances)
  } catch {
    let reason = error is ExpectationFailedError ? "what a #require said" : "\(error)"
    Issue.record("\(reason)\(instances.state)", sourceLocation: sourceLocation)
    return
  }
  redis.resume()
  for server in instances.servers {
    server.signal(SIGCONT)
    server.signal(SIGTERM)
  }
  for (index, server) in instances.servers.enumerated() {
    let code = server.waitForExit(within: 15)
    #expect(
      code == 0 || code == 128 + SIGKILL, "instance \(index): \(server.errorOutput.suffix(2000))",
      sourceLocation: sourceLocation)
  }
}

extension ServerProcess {
  /// Processor time that the process has used.
  var processorSeconds: Double {
    let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    // The name, in parentheses, may hold spaces; user and system time are the 12th and 13th word behind it.
    let words = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard words.count > 12, let user = Double(words[11]), let system = Double(words[12]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Lines of the log that warn or tell of an error.
  var warnings: [Substring] {
    errorOutput.split(separator: "\n").filter { $0.contains(/Z\ (warning|error|critical)\ .*:/) }
  }

  /// `dockrion_active_runs`, without the milliseconds that a parse of the whole page takes.
  var activeRuns: Int {
    get throws { try activeRuns(on: connect()) }
  }

  func activeRuns(on connection: Connection) throws -> Int {
    let page = try connection.request("GET", "/metrics").text
    let lines = page.split(separator: "\n").filter { $0.hasPrefix("dockrion_active_runs{") }
    let counts = lines.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    guard !counts.isEmpty, counts.count == lines.count else {
      throw ClientError("no dockrion_active_runs in \(page.prefix(300))")
    }
    return counts.reduce(0, +)
  }
}

/// Checks that events are numbered as the range says, and names the first that is not.
func expectSequences(
  _ events: [Event], _ expected: ClosedRange<Int>, sourceLocation: SourceLocation = #_sourceLocation
) {
  let wrong = zip(events, expected).first { $0.0.sequence != $0.1 }
  if let (event, sequence) = wrong {
    Issue.record(
      "\(event.sequence.map(String.init) ?? event.type) stands where \(sequence) should",
      sourceLocation: sourceLocation)
  } else if events.count != expected.count {
    Issue.record(
      "\(events.count) events where \(expected.count) should be; the last is \(events.last?.data ?? "none")",
      sourceLocation: sourceLocation)
  }
}

/// What the backend has stored, read as another program would.
extension RedisProcess {
  struct Entry {
    var id: String
    var events: [Event]
  }

  func key(_ run: String, _ part: String, prefix: String = "dockrion") -> String {
    "\(prefix):{\(run)}:\(part)"
  }

  /// The fields of a run's record.
  func record(of run: String) throws -> [String: String] {
    try command("HGETALL", key(run, "run")).fields
  }

  /// A run's stream; each entry's id is the sequence of its last event.
  func entries(of run: String) throws -> [Entry] {
    let values = try command("XRANGE", key(run, "events"), "-", "+", within: 20).array ?? []
    return try values.map { value in
      guard let parts = value.array, parts.count == 2, let id = parts[0].text else {
        throw ClientError("no stream entry: \(value)")
      }
      var parser = FrameParser()
      var events: [Event] = []
      for text in parts[1].texts where text.contains("event: ") {
        events += try parser.feed(Array(text.utf8), arrival: 0).compactMap(\.event)
      }
      guard parser.isBetweenFrames, let last = events.last?.sequence else {
        throw ClientError("entry \(id) holds no whole events: \(parts[1].texts)")
      }
      guard id == "\(last)-0" else { throw ClientError("entry \(id) ends with event \(last)") }
      return Entry(id: id, events: events)
    }
  }

  func storedEvents(of run: String) throws -> [Event] { try entries(of: run).flatMap(\.events) }

  /// Seconds until a key expires; -1 when it never does, -2 when there is none.
  func secondsToLive(_ key: String) throws -> Int { try command("TTL", key).integer ?? -2 }

  /// A number from `INFO`.
  func statistic(_ name: String) throws -> Int {
    let text = try command("INFO").text ?? ""
    let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
    guard let value = line.flatMap({ Int($0.dropFirst(name.count + 1)) }) else {
      throw ClientError("INFO says nothing of \(name)")
    }
    return value
  }
}
