/// Many agents at once, each streaming to its own client.
final class ManyStreams: Receiver {
  private struct Stream {
    var check = SequenceCheck()
    var sentAt: Int64 = 0
    var hasEvent = false
    var hasEnded = false
  }

  private let script: Script
  private let managed: Bool
  private let loop: Loop
  private let follow: Target?
  private var streams: [Stream]
  private var opener: Opener?
  private(set) var ended = 0
  private(set) var events = 0
  private(set) var faults: [String] = []
  private(set) var firstEvents: [Double] = []
  private(set) var durations: [Double] = []
  private(set) var latencies: [Double] = []

  init(_ script: Script, count: Int, managed: Bool, _ loop: Loop, follow: Target?) {
    (self.script, self.managed, self.loop, self.follow) = (script, managed, loop, follow)
    streams = Array(repeating: Stream(), count: count)
  }

  func run(_ bench: inout Bench) throws {
    let request = requestBytes("POST", managed ? "/runs" : "/invoke/stream", body: script.payload)
    let opener = Opener(bench.loop, self, count: streams.count) { _ in request }
    self.opener = opener
    let (progress, start) = (bench.progress, monotonicNanoseconds())
    try bench.loop.run(
      seconds: bench.seconds, waitingFor: "\(streams.count) streams to end",
      until: { ended == streams.count },
      step: {
        progress.show(
          "\(opener.answered) of \(streams.count) streams answered, \(ended) ended, \(events) events")
        return try opener.step()
      })
    let seconds = Double(monotonicNanoseconds() - start) / 1e9
    bench.report.add("streams", Double(streams.count), "")
    bench.report.add("events", Double(events), "")
    bench.report.add("all ended after", seconds, "s")
    bench.report.add("events a second", Double(events) / seconds, "/s")
    bench.report.add("slowest stream", durations.max() ?? 0, "s")
    bench.report.add("first event", milliseconds: firstEvents)
    bench.report.add("emit to receive", milliseconds: latencies)
    for fault in faults { bench.report.violate(fault) }
  }

  func opened(_ connection: Connection) {
    if streams[connection.tag].sentAt == 0 {
      streams[connection.tag].sentAt = connection.sentAt
      opener?.answered += 1
    }
  }

  func received(_ event: Event, at now: Int64, on connection: Connection) {
    let tag = connection.tag
    events += 1
    streams[tag].check.take(event)
    if !streams[tag].hasEvent {
      streams[tag].hasEvent = true
      firstEvents.append(Double(now - streams[tag].sentAt) / 1e6)
    }
    if case .stamp(let stamp)? = event.content { latencies.append(Double(now - stamp) / 1e6) }
  }

  func ended(_ connection: Connection, fault: String?) {
    let tag = connection.tag
    if managed, fault == nil, connection.status == 202, !streams[tag].hasEvent,
      let id = runID(String(decoding: connection.body, as: UTF8.self))
    {
      let request = requestBytes("GET", "/runs/\(id)/events")
      guard let follow else { return connection.send(request) }
      connection.close()
      do { return try loop.connect(tag: tag, self, to: follow).send(request) } catch {
        faults.append("stream \(tag): \(error)")
      }
    }
    guard !streams[tag].hasEnded else { return }
    streams[tag].hasEnded = true
    ended += 1
    durations.append(Double(monotonicNanoseconds() - streams[tag].sentAt) / 1e9)
    if connection.status != 200 {
      let text = String(decoding: connection.body.prefix(200), as: UTF8.self)
      faults.append("stream \(tag): status \(connection.status) \(text) \(fault ?? "")")
    } else if let fault = fault ?? streams[tag].check.fault(tokens: script.tokens) {
      faults.append("stream \(tag): \(fault)")
    }
    connection.close()
  }
}

extension Bench {
  /// `count` streams at once, Pattern A or, `managed`, a run and a subscription each.
  ///
  /// - Parameter follow: the server to subscribe on, where it is another one than that which executes the runs.
  public mutating func manyStreams(
    _ script: Script, count: Int, managed: Bool, follow: Target? = nil
  ) throws {
    try countingCPU { bench in
      try ManyStreams(script, count: count, managed: managed, bench.loop, follow: follow).run(&bench)
    }
  }
}
