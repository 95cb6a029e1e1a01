import DockrionCore
import DockrionLoop
import Foundation
import Glibc

/// A histogram with fixed bounds: counting is one comparison a bound.
struct Histogram {
  private let bounds: [Int64]
  private var counts: [Int]
  private var sum: Int64 = 0

  /// - Parameter bounds: upper bounds in nanoseconds, ascending.
  init(bounds: [Int64]) {
    self.bounds = bounds
    counts = Array(repeating: 0, count: bounds.count + 1)
  }

  mutating func add(_ nanoseconds: Int64) {
    var index = 0
    while index < bounds.count, nanoseconds > bounds[index] { index += 1 }
    counts[index] += 1
    sum += nanoseconds
  }

  func write(_ name: String, labels: String, to out: inout ByteWriter) {
    var total = 0
    let comma = labels.isEmpty ? "" : ","
    for (index, bound) in bounds.enumerated() {
      total += counts[index]
      out.append("\(name)_bucket{\(labels)\(comma)le=\"\(Double(bound) / 1e9)\"} \(total)\n")
    }
    total += counts[bounds.count]
    out.append("\(name)_bucket{\(labels)\(comma)le=\"+Inf\"} \(total)\n")
    let braces = labels.isEmpty ? "" : "{\(labels)}"
    out.append("\(name)_sum\(braces) \(Double(sum) / 1e9)\n")
    out.append("\(name)_count\(braces) \(total)\n")
  }

  /// 10 µs … 60 s, for requests and streams.
  static let requestBounds: [Int64] = [
    100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000,
    5_000_000_000, 10_000_000_000, 60_000_000_000, 600_000_000_000,
  ]
  /// 10 ms … an hour, the default of `max_run_duration`, for what agents take.
  static let runBounds: [Int64] = [
    10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000,
    3_600_000,
  ].map { $0 * 1_000_000 }
  /// 10 µs … 1 s, for what should take no time.
  static let delayBounds: [Int64] = [
    10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 50_000_000,
    100_000_000, 1_000_000_000,
  ]
}

/// What the server counts; plain numbers on the loop.
final class Metrics {
  private struct Requests {
    let route: Int
    let agent: Int
    let method: HTTPMethod
    let status: Int
    var count = 0
  }

  /// Gauges that are read when somebody asks.
  struct Gauges {
    /// Of each agent.
    var activeRuns: [Int] = []
    var directStreams = 0
    var subscriptions = 0
    var ringFullWaits = 0
    var logBytes = 0
    var payloadBytes = 0
    var sentBytes = 0
    var connections = 0
    var bufferedBytes = 0
    var limits = Limits()
    var redis: Redis?
    /// Nil where there is no access log.
    var accessLogLost: Int?
  }

  /// What the gauges may reach, for alerts and dashboards.
  struct Limits {
    var runs = 0
    var connections = 0
    var logBytes = 0
    var payloadBytes = 0
    var descriptors = 0
  }

  /// How the Redis backend does.
  struct Redis {
    var isUp: Bool
    var losses: Int
    var pendingEvents: Int
    var pendingBytes: Int
  }

  private let routes: [String]
  private var requests: [Requests] = []
  private var durations: [Histogram]
  private let agents: [String]
  // A number for each kind of event, agent by agent.
  private var events: [Int]
  private var runs: [[RunStatus: Int]]
  private var closed: [CloseReason: Int] = [:]
  var overflows = 0
  private let startedAt = Double(Clock.wallNanoseconds()) / 1e9
  var emitToWrite = Histogram(bounds: Histogram.delayBounds)
  var loopLag = Histogram(bounds: Histogram.delayBounds)
  private var errors: [[String: Int]]
  private var firstEvents: [Histogram]
  private var runDurations: [Histogram]
  private static let kinds = EventKind.allCases.count

  /// - Parameters:
  ///   - routes: the label of each route.
  ///   - agents: the label of each agent.
  init(routes: [String], agents: [String]) {
    self.routes = routes
    self.agents = agents
    durations = routes.map { _ in Histogram(bounds: Histogram.requestBounds) }
    events = [Int](repeating: 0, count: Self.kinds * agents.count)
    runs = agents.map { _ in [:] }
    errors = agents.map { _ in [:] }
    firstEvents = agents.map { _ in Histogram(bounds: Histogram.runBounds) }
    runDurations = firstEvents
  }

  /// - Parameter agent: negative where a request is about none.
  func request(route: Int, agent: Int, method: HTTPMethod, status: Int, nanoseconds: Int64) {
    // They are few, and the ones that count stand in front.
    let known = requests.firstIndex {
      $0.status == status && $0.route == route && $0.method == method && $0.agent == agent
    }
    if known == nil { requests.append(Requests(route: route, agent: agent, method: method, status: status)) }
    requests[known ?? requests.count - 1].count += 1
    durations[route].add(nanoseconds)
  }

  @inline(__always)
  func event(_ kind: EventKind, agent: Int) { events[agent &* Self.kinds &+ Int(kind.rawValue)] += 1 }
  func run(_ status: RunStatus, agent: Int) { runs[agent][status, default: 0] += 1 }
  func firstEvent(nanoseconds: Int64, agent: Int) { firstEvents[agent].add(nanoseconds) }
  func runEnded(nanoseconds: Int64, agent: Int) { runDurations[agent].add(nanoseconds) }

  /// Counts a failed agent. Agents choose their codes: the first `DockrionCore.Limits.errorCodesMax` that look like one have a label
  /// of their own, the others are `other`.
  func agentFailed(_ code: String, agent: Int) {
    let known = errors[agent]
    let isKnown =
      known[code] != nil || (known.count < DockrionCore.Limits.errorCodesMax && Self.isCode(code))
    errors[agent][isKnown ? code : "other", default: 0] += 1
  }

  private static func isCode(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy { ASCII.isUpper($0) || ASCII.isDigit($0) || $0 == 0x5F }
  }

  func streamClosed(_ reason: CloseReason) { closed[reason, default: 0] += 1 }

  func write(_ gauges: Gauges, to out: inout ByteWriter) {
    head("dockrion_requests_total", "counter", "Requests answered.", &out)
    for entry in requests.sorted(by: {
      ($0.route, $0.agent, $0.status) < ($1.route, $1.agent, $1.status)
    }) {
      out.append(
        "dockrion_requests_total{route=\"\(routes[entry.route])\",method=\"\(entry.method.name)\","
          + "status=\"\(entry.status)\"\(entry.agent < 0 ? "" : ",\(label(entry.agent))")} \(entry.count)\n")
    }
    head(
      "dockrion_request_duration_seconds", "histogram",
      "From request to the end of its reply, a stream's whole life.",
      &out)
    for (index, route) in routes.enumerated() {
      durations[index].write("dockrion_request_duration_seconds", labels: "route=\"\(route)\"", to: &out)
    }
    head("dockrion_active_runs", "gauge", "Agents that execute now, behind any route.", &out)
    for (agent, count) in gauges.activeRuns.enumerated() {
      out.append("dockrion_active_runs{\(label(agent))} \(count)\n")
    }
    gauge("dockrion_active_runs_limit", "As many agents may execute.", gauges.limits.runs, &out)
    head("dockrion_runs_total", "counter", "Runs of Pattern B by the status they reached.", &out)
    for agent in agents.indices {
      for status in RunStatus.allCases where status != .running {
        let count = runs[agent][status] ?? 0
        out.append("dockrion_runs_total{status=\"\(status.rawValue)\",\(label(agent))} \(count)\n")
      }
    }
    head(
      "dockrion_agent_errors_total", "counter",
      "Agents that failed, behind any route, by the code of the error.",
      &out)
    for agent in agents.indices {
      let codes = errors[agent].keys.sorted()
      for code in codes.isEmpty ? ["AGENT_ERROR"] : codes {
        let count = errors[agent][code] ?? 0
        out.append("dockrion_agent_errors_total{code=\"\(code)\",\(label(agent))} \(count)\n")
      }
    }
    head(
      "dockrion_run_duration_seconds", "histogram",
      "From an agent's start to its outcome, behind any route.", &out)
    for agent in agents.indices {
      runDurations[agent].write("dockrion_run_duration_seconds", labels: label(agent), to: &out)
    }
    head(
      "dockrion_first_event_seconds", "histogram",
      "From an agent's start to the first event that it emitted itself, or its end.", &out)
    for agent in agents.indices {
      firstEvents[agent].write("dockrion_first_event_seconds", labels: label(agent), to: &out)
    }
    head("dockrion_open_streams", "gauge", "Event streams that are open now.", &out)
    out.append("dockrion_open_streams{pattern=\"a\"} \(gauges.directStreams)\n")
    out.append("dockrion_open_streams{pattern=\"b\"} \(gauges.subscriptions)\n")
    head("dockrion_streams_closed_total", "counter", "Event streams that ended, by reason.", &out)
    for reason in CloseReason.allCases {
      out.append("dockrion_streams_closed_total{reason=\"\(reason.rawValue)\"} \(closed[reason] ?? 0)\n")
    }
    head("dockrion_events_total", "counter", "Events that agents emitted and the filter let through.", &out)
    for agent in agents.indices {
      for kind in EventKind.allCases {
        let count = events[agent * Self.kinds + Int(kind.rawValue)]
        out.append("dockrion_events_total{type=\"\(kind.name)\",\(label(agent))} \(count)\n")
      }
    }
    counter("dockrion_sent_bytes_total", "Bytes given to client sockets.", gauges.sentBytes, &out)
    head(
      "dockrion_emit_to_write_seconds", "histogram", "From an agent's emit until the loop takes the event.",
      &out)
    emitToWrite.write("dockrion_emit_to_write_seconds", labels: "", to: &out)
    counter("dockrion_ring_full_waits_total", "Emits that had to wait for room.", gauges.ringFullWaits, &out)
    head("dockrion_loop_lag_seconds", "histogram", "How long one turn kept the event loop busy.", &out)
    loopLag.write("dockrion_loop_lag_seconds", labels: "", to: &out)
    gauge("dockrion_log_bytes", "Bytes that stored runs count for.", gauges.logBytes, &out)
    gauge(
      "dockrion_log_limit_bytes", "As many may they be; the oldest runs go first.", gauges.limits.logBytes,
      &out)
    gauge(
      "dockrion_payload_bytes", "Bytes that payloads of running agents and waiting requests take.",
      gauges.payloadBytes, &out)
    gauge("dockrion_payload_limit_bytes", "As many may they be.", gauges.limits.payloadBytes, &out)
    gauge("dockrion_connections", "Open client connections.", gauges.connections, &out)
    gauge("dockrion_connections_limit", "As many may be open.", gauges.limits.connections, &out)
    gauge(
      "dockrion_buffered_bytes", "Bytes of unfinished requests and unsent replies on all connections.",
      gauges.bufferedBytes, &out)
    counter(
      "dockrion_overflows_total", "Connections closed because of runtime.max_buffered_bytes.", overflows, &out
    )
    if let lost = gauges.accessLogLost {
      counter(
        "dockrion_access_log_lost_total", "Lines of the access log that could not be written.", lost, &out)
    }
    if let redis = gauges.redis {
      gauge("dockrion_redis_up", "1 while every connection to Redis is ready.", redis.isUp ? 1 : 0, &out)
      counter(
        "dockrion_redis_reconnects_total", "Connections to Redis that were lost or could not be made.",
        redis.losses, &out)
      gauge(
        "dockrion_redis_pending_events", "Events of runs here that Redis has still to get.",
        redis.pendingEvents, &out)
      gauge("dockrion_redis_pending_bytes", "Their bytes.", redis.pendingBytes, &out)
    }
    gauge("process_resident_memory_bytes", "Resident memory.", ProcessFacts.residentBytes(), &out)
    gauge("process_open_fds", "Open file descriptors.", ProcessFacts.openDescriptors(), &out)
    gauge("process_max_fds", "Open file descriptors at most.", gauges.limits.descriptors, &out)
    head("process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.", &out)
    out.append("process_start_time_seconds \(startedAt)\n")
  }

  private func label(_ agent: Int) -> String { "agent=\"\(agents[agent])\"" }

  private func head(_ name: String, _ type: String, _ help: String, _ out: inout ByteWriter) {
    out.append("# HELP \(name) \(help)\n# TYPE \(name) \(type)\n")
  }

  private func gauge(_ name: String, _ help: String, _ value: Int, _ out: inout ByteWriter) {
    head(name, "gauge", help, &out)
    out.append("\(name) \(value)\n")
  }

  private func counter(_ name: String, _ help: String, _ value: Int, _ out: inout ByteWriter) {
    head(name, "counter", help, &out)
    out.append("\(name) \(value)\n")
  }
}

/// What the kernel says of this process.
enum ProcessFacts {
  static func residentBytes() -> Int { residentBytes(of: getpid()) ?? 0 }

  /// Nil for a process that is gone.
  static func residentBytes(of pid: pid_t) -> Int? {
    guard let file = fopen("/proc/\(pid)/statm", "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return nil }
    let fields = line.prefix { $0 != 0 }.split(separator: CChar(UInt8(ascii: " ")))
    guard fields.count > 1 else { return nil }
    let pages = fields[1].reduce(0) { $0 * 10 + Int($1) - 48 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }

  static func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = -3  // ".", ".." and the directory itself
    while readdir(directory) != nil { count += 1 }
    return count
  }

  /// Cores that this process may use: those it is pinned to, or all.
  static func usableCores() -> Int {
    max(1, ProcessInfo.processInfo.activeProcessorCount)
  }

  /// Lets the thread that wakes another finish its work first (`SCHED_BATCH`, inherited by the workers).
  ///
  /// Where loop and workers share a core, switching at every wake-up costs more than the events do:
  /// `docs/performance.md` has the figures. It needs no privilege, and where the kernel refuses nothing is lost.
  static func preferThroughput() {
    var parameter = sched_param(sched_priority: 0)
    let batch: Int32 = 3  // SCHED_BATCH of <sched.h>, which the Glibc module leaves out
    _ = sched_setscheduler(0, batch, &parameter)
  }

  static func descriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    return Int(clamping: limit.rlim_cur)
  }

  /// Raises the descriptor limit to the hard limit and returns it.
  static func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    return Int(clamping: limit.rlim_cur)
  }
}
