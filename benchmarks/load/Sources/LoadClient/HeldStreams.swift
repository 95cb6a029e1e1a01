/// Streams that have had one token and now wait: what each costs the server in memory.
final class HeldStreams: Receiver {
  private var opener: Opener?
  private var tokens = 0
  private(set) var faults: [String] = []

  func open(_ bench: Bench, count: Int) throws -> Opener {
    var script = Script()
    (script.tokens, script.hang) = (1, true)
    let request = requestBytes("POST", "/invoke/stream", body: script.payload)
    tokens = 0
    let opener = Opener(bench.loop, self, count: count) { _ in request }
    self.opener = opener
    let progress = bench.progress
    try bench.loop.run(
      seconds: bench.seconds, waitingFor: "\(count) streams to hold",
      until: { tokens + faults.count >= count },
      step: {
        progress.show("\(tokens) of \(count) streams held")
        return try opener.step()
      })
    return opener
  }

  func opened(_ connection: Connection) { opener?.answered += 1 }

  func received(_ event: Event, at now: Int64, on connection: Connection) {
    if event.kind == .token { tokens += 1 }
    if event.kind == .terminal { faults.append("stream \(connection.tag) ended") }
  }

  func ended(_ connection: Connection, fault: String?) {
    faults.append("stream \(connection.tag): status \(connection.status) \(fault ?? "ended")")
  }
}

extension Bench {
  /// Holds `count` streams for `holdSeconds`; memory a stream is the difference to after 100 that came and went.
  public mutating func heldStreams(count: Int, holdSeconds: Double) throws {
    let held = HeldStreams()
    try held.open(self, count: min(100, count)).closeAll()
    try settle(seconds: 0.5)
    let before = try residentBytes()
    let start = monotonicNanoseconds()
    let opener = try held.open(self, count: count)
    let opened = Double(monotonicNanoseconds() - start) / 1e9
    let resident = try residentBytes()
    let cpu = try process?.cpuSeconds()
    try settle(seconds: holdSeconds)
    if let cpu, let process {
      report.add("server CPU a second while they wait", (try process.cpuSeconds() - cpu) / holdSeconds, "s")
    }
    progress.clear()
    report.add("streams held", Double(count), "")
    report.add("opened in", opened, "s")
    report.add("server's memory", resident / 1_048_576, "MiB")
    report.add("memory a stream", (resident - before) / Double(count), "bytes")
    for fault in held.faults { report.violate(fault) }
    opener.closeAll()
  }

  /// Reads what comes for so long.
  private func settle(seconds: Double) throws {
    let end = monotonicNanoseconds() + Int64(seconds * 1e9)
    try loop.run(
      seconds: seconds + 5, waitingFor: "time to pass", until: { monotonicNanoseconds() >= end })
  }
}
