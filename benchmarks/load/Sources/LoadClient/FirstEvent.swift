/// One request after the other: how long until the first event, the first token and the end.
final class FirstEvent: Receiver {
  private let keepAlive: Bool
  private var check = SequenceCheck()
  private var hasEnded = false
  private(set) var faults: [String] = []
  private(set) var heads: [Double] = []
  private(set) var firstEvents: [Double] = []
  private(set) var firstTokens: [Double] = []
  private(set) var ends: [Double] = []

  init(keepAlive: Bool) { self.keepAlive = keepAlive }

  func run(_ bench: inout Bench, requests: Int) throws {
    var script = Script()
    script.tokens = 1
    let request = requestBytes(
      "POST", "/invoke/stream", headers: keepAlive ? [] : ["Connection: close"], body: script.payload)
    var connection: Connection?
    for number in 1...requests {
      bench.progress.show("request \(number) of \(requests)")
      check = SequenceCheck()
      hasEnded = false
      let current: Connection
      if let connection, connection.isOpen {
        current = connection
      } else {
        current = try bench.loop.connect(tag: 0, self)
        connection = current
      }
      current.send(request)
      try bench.loop.run(seconds: bench.seconds, waitingFor: "a stream to end", until: { hasEnded })
    }
    connection?.close()
    bench.report.add("requests", Double(requests), "")
    bench.report.add("head", milliseconds: heads)
    bench.report.add("first event", milliseconds: firstEvents)
    bench.report.add("first token", milliseconds: firstTokens)
    bench.report.add("end", milliseconds: ends)
    for fault in faults { bench.report.violate(fault) }
  }

  func opened(_ connection: Connection) { heads.append(since(connection)) }

  func received(_ event: Event, at now: Int64, on connection: Connection) {
    let milliseconds = Double(now - connection.sentAt) / 1e6
    if check.last == 0 { firstEvents.append(milliseconds) }
    if event.kind == .token, check.tokens == 0 { firstTokens.append(milliseconds) }
    check.take(event)
  }

  func ended(_ connection: Connection, fault: String?) {
    hasEnded = true
    ends.append(since(connection))
    if connection.status != 200 {
      faults.append("status \(connection.status) \(fault ?? "")")
    } else if let fault = fault ?? check.fault(tokens: 1) {
      faults.append(fault)
    }
  }

  private func since(_ connection: Connection) -> Double {
    Double(monotonicNanoseconds() - connection.sentAt) / 1e6
  }
}

extension Bench {
  /// `requests` streams of one token, each after the one before.
  public mutating func firstEvent(requests: Int, keepAlive: Bool) throws {
    try countingCPU { bench in try FirstEvent(keepAlive: keepAlive).run(&bench, requests: requests) }
  }
}
