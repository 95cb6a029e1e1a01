/// What every scenario needs: the loop, the server's process, the report that it fills.
public struct Bench {
  public let loop: Loop
  public let process: ServerProcess?
  public let progress: Progress
  /// Seconds after which a scenario gives up.
  public let seconds: Double
  public var report: Report

  public init(
    _ target: Target, pid: Int32?, progress: Progress, seconds: Double, report: Report
  ) throws {
    loop = try Loop(target)
    process = try pid.map { try ServerProcess(pid: $0) }
    (self.progress, self.seconds, self.report) = (progress, seconds, report)
  }

  /// Runs `body` and adds the CPU time that the server took meanwhile, where its process is known.
  mutating func countingCPU(_ body: (inout Bench) throws -> Void) throws {
    let before = try process?.cpuSeconds()
    try body(&self)
    progress.clear()
    if let process, let before { report.add("server CPU", try process.cpuSeconds() - before, "s") }
  }

  /// Resident memory of the server, from the system or from `/metrics`.
  func residentBytes() throws -> Double {
    if let process { return try process.residentBytes() }
    guard let bytes = try loop.metric("process_resident_memory_bytes") else {
      throw LoadError("the server's memory is not known: give --pid, or serve /metrics")
    }
    return bytes
  }
}

/// What the `scripted` agent is asked for.
public struct Script: Sendable {
  public var tokens = 20
  public var intervalMilliseconds = 0.0
  public var stamp = false
  public var hang = false
  public var tokenBytes = 0
  /// Silence before the first token.
  public var holdMilliseconds = 0

  public init() {}

  public var payload: String {
    var members = ["\"tokens\":\(tokens)"]
    if intervalMilliseconds > 0 { members.append("\"interval_ms\":\(intervalMilliseconds)") }
    if stamp { members.append("\"stamp\":true") }
    if hang { members.append("\"hang\":true") }
    if tokenBytes > 0 { members.append("\"token_bytes\":\(tokenBytes)") }
    if holdMilliseconds > 0 {
      members.append("\"emit\":[{\"type\":\"sleep\",\"ms\":\(holdMilliseconds)}]")
    }
    return "{" + members.joined(separator: ",") + "}"
  }

  /// Starts a run and returns its id.
  func startRun(_ loop: Loop) throws -> String {
    let reply = try loop.request(
      requestBytes("POST", "/runs", headers: ["Connection: close"], body: payload))
    guard reply.status == 202, let id = runID(reply.body) else {
      throw LoadError("POST /runs: \(reply.status) \(reply.body.prefix(200))")
    }
    return id
  }
}

/// `run_id` of the reply to `POST /runs`.
func runID(_ body: String) -> String? {
  let name = "\"run_id\":\""
  guard let start = body.firstRange(of: name) else { return nil }
  let id = body[start.upperBound...].prefix { $0 != "\"" }
  return id.isEmpty ? nil : String(id)
}
