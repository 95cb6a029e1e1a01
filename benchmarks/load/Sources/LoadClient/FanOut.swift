/// One run, or one Nchan channel, to many subscribers.
final class FanOut: Receiver {
  private let script: Script
  private let isChannel: Bool
  private var checks: [SequenceCheck]
  private var opener: Opener?
  private var whole = 0
  private var delivered = 0
  private var isAttached = false
  private var firstAt: Int64 = 0
  private var lastAt: Int64 = 0
  private(set) var faults: [String] = []
  private(set) var latencies: [Double] = []

  init(_ script: Script, subscribers: Int, isChannel: Bool) {
    (self.script, self.isChannel) = (script, isChannel)
    checks = Array(repeating: SequenceCheck(countsTokens: !isChannel), count: subscribers)
  }

  func run(_ bench: inout Bench) throws {
    let count = checks.count
    let path =
      isChannel
      ? "/subscribe?id=\(monotonicNanoseconds())" : "/runs/\(try script.startRun(bench.loop))/events"
    let request = requestBytes("GET", path, headers: ["Accept: text/event-stream"])
    let opener = Opener(bench.loop, self, count: count) { _ in request }
    self.opener = opener
    let progress = bench.progress
    try bench.loop.run(
      seconds: bench.seconds, waitingFor: "\(count) subscriptions", until: { opener.isDone },
      step: {
        progress.show("\(opener.answered) of \(count) subscribed")
        return try opener.step()
      })
    isAttached = true
    if delivered > 0 { faults.append("the run began before all had subscribed: --hold must be longer") }
    let before = try bench.process?.cpuSeconds()
    let publisher =
      isChannel ? Publisher(bench.loop, path.replacing("/subscribe", with: "/publish"), script) : nil
    try bench.loop.run(
      seconds: bench.seconds, waitingFor: "\(count * script.tokens) tokens",
      until: { whole + faults.count >= count },
      step: {
        progress.show("\(delivered) of \(count * script.tokens) tokens delivered")
        return try publisher?.step() ?? 20
      })
    progress.clear()
    if let before, let process = bench.process {
      bench.report.add("server CPU", try process.cpuSeconds() - before, "s")
    }
    opener.closeAll()
    let seconds = Double(lastAt - firstAt) / 1e9
    bench.report.add("subscribers", Double(count), "")
    bench.report.add("tokens delivered", Double(delivered), "")
    bench.report.add("from the first to the last", seconds, "s")
    bench.report.add("tokens delivered a second", seconds > 0 ? Double(delivered) / seconds : 0, "/s")
    bench.report.add("emit to receive", milliseconds: latencies)
    for fault in faults + [publisher?.fault].compactMap({ $0 }) { bench.report.violate(fault) }
  }

  func opened(_ connection: Connection) { opener?.answered += 1 }

  func received(_ event: Event, at now: Int64, on connection: Connection) {
    let tag = connection.tag
    checks[tag].take(event)
    if isChannel ? event.content != nil : event.kind == .token {
      if firstAt == 0 { firstAt = now }
      lastAt = now
      delivered += 1
      if case .stamp(let stamp)? = event.content { latencies.append(Double(now - stamp) / 1e6) }
    }
    if isChannel, checks[tag].violation == nil, checks[tag].last == script.tokens { whole += 1 }
  }

  func ended(_ connection: Connection, fault: String?) {
    if !isAttached, connection.status != 200 { opener?.answered += 1 }
    if connection.status != 200 {
      faults.append("subscriber \(connection.tag): status \(connection.status) \(fault ?? "")")
    } else if let fault = fault ?? checks[connection.tag].fault(tokens: script.tokens) {
      faults.append("subscriber \(connection.tag): \(fault)")
    } else {
      whole += 1
    }
    connection.close()
  }
}

/// Publishes to Nchan what a run of the `scripted` agent would say, in events of the same size, on one connection:
/// several could change the order.
private final class Publisher: Receiver {
  private let script: Script
  private let path: String
  private let loop: Loop
  private var connection: Connection?
  private var sent = 0
  private var outstanding = 0
  private var nextAt: Int64 = 0
  private(set) var fault: String?

  init(_ loop: Loop, _ path: String, _ script: Script) {
    (self.loop, self.path, self.script) = (loop, path, script)
  }

  /// Publishes what is due; without an interval 32 messages in one go, so that the server never waits for us.
  func step() throws -> Int32 {
    let connection = try self.connection ?? loop.connect(tag: 0, self)
    self.connection = connection
    guard sent < script.tokens, fault == nil else { return 20 }
    let interval = Int64(script.intervalMilliseconds * 1e6)
    let now = monotonicNanoseconds()
    if interval > 0, nextAt == 0 { nextAt = now }
    guard outstanding == 0 else { return 20 }
    if interval > 0, now < nextAt { return Int32((nextAt - now) / 1_000_000) }
    var bytes: [UInt8] = []
    while sent < script.tokens, outstanding < 32, interval == 0 || nextAt <= now {
      bytes += message()
      outstanding += 1
      nextAt += interval
    }
    connection.send(bytes, count: outstanding)
    return 20
  }

  private func message() -> [UInt8] {
    sent += 1
    let content = script.stamp ? "t=\(monotonicNanoseconds()) " : "tok\(sent) "
    return requestBytes(
      "POST", path,
      body: "{\"run_id\":\"53014865-635e-4778-b85d-19226126c3cb\",\"type\":\"token\",\"sequence\":\(sent),"
        + "\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"content\":\"\(content)\"}")
  }

  func opened(_ connection: Connection) {}
  func received(_ event: Event, at now: Int64, on connection: Connection) {}

  func ended(_ connection: Connection, fault: String?) {
    outstanding -= 1
    if let fault { self.fault = "publisher: \(fault)" }
    if !(200...202).contains(connection.status) { self.fault = "publisher: status \(connection.status)" }
  }
}

extension Bench {
  /// One run's tokens to `subscribers` clients; with `isChannel` from Nchan instead.
  public mutating func fanOut(_ script: Script, subscribers: Int, isChannel: Bool) throws {
    try FanOut(script, subscribers: subscribers, isChannel: isChannel).run(&self)
  }
}
