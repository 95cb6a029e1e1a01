/// Clients that vanish again and again and come back with `Last-Event-ID`; each puts the run together.
final class Reconnects: Receiver {
  private struct Client {
    var check = SequenceCheck()
    var eventsLeft = 0
    var isDone = false
  }

  private let script: Script
  private let eventsMax: Int
  private var clients: [Client]
  private var random: SplitMix
  private var waiting: [Int]
  private var done = 0
  private var unanswered = 0
  private(set) var connects = 0
  private(set) var delivered = 0
  private(set) var faults: [String] = []

  /// - Parameter eventsMax: a connection is broken after 1 up to so many events.
  init(_ script: Script, clients: Int, eventsMax: Int, seed: UInt64) {
    (self.script, self.eventsMax) = (script, eventsMax)
    self.clients = Array(repeating: Client(), count: clients)
    waiting = Array((0..<clients).reversed())
    random = SplitMix(seed)
  }

  func run(_ bench: inout Bench) throws {
    let run = try script.startRun(bench.loop)
    let (loop, progress, start) = (bench.loop, bench.progress, monotonicNanoseconds())
    try bench.loop.run(
      seconds: bench.seconds, waitingFor: "\(clients.count) clients to have the whole run",
      until: { done == clients.count },
      step: {
        progress.show("\(connects) connections, \(done) of \(clients.count) clients have all")
        while unanswered < 128, let index = waiting.popLast() {
          let connection = try loop.connect(tag: index, self)
          clients[index].eventsLeft = Int.random(in: 1...eventsMax, using: &random)
          unanswered += 1
          connects += 1
          let last = clients[index].check.last
          connection.send(
            requestBytes(
              "GET", "/runs/\(run)/events", headers: last > 0 ? ["Last-Event-ID: \(last)"] : []))
        }
        return waiting.isEmpty ? 20 : 0
      })
    let seconds = Double(monotonicNanoseconds() - start) / 1e9
    bench.report.add("clients", Double(clients.count), "")
    bench.report.add("connections", Double(connects), "")
    bench.report.add("seconds", seconds, "s")
    bench.report.add("connections a second", Double(connects) / seconds, "/s")
    bench.report.add("events delivered", Double(delivered), "")
    bench.report.add("events delivered a second", Double(delivered) / seconds, "/s")
    for fault in faults { bench.report.violate(fault) }
  }

  func opened(_ connection: Connection) { unanswered -= 1 }

  func received(_ event: Event, at now: Int64, on connection: Connection) {
    let tag = connection.tag
    delivered += 1
    clients[tag].check.take(event)
    clients[tag].eventsLeft -= 1
    if clients[tag].eventsLeft == 0, !clients[tag].check.isOver, clients[tag].check.violation == nil {
      connection.close(reset: true)
      // Insertion at the front keeps it fair: who waits longest is taken first.
      waiting.insert(tag, at: 0)
    }
  }

  func ended(_ connection: Connection, fault: String?) {
    let tag = connection.tag
    guard !clients[tag].isDone else { return }
    clients[tag].isDone = true
    done += 1
    connection.close()
    if connection.status == 0 { unanswered -= 1 }
    if connection.status != 200 {
      faults.append("client \(tag): status \(connection.status) \(fault ?? "")")
    } else if let fault = fault ?? clients[tag].check.fault(tokens: script.tokens) {
      faults.append("client \(tag): \(fault)")
    }
  }
}

/// Repeatable random numbers (Steele, Lea and Flood, 2014).
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

extension Bench {
  /// `clients` that break their connection after 1…`eventsMax` events and resume.
  public mutating func reconnects(_ script: Script, clients: Int, eventsMax: Int, seed: UInt64) throws {
    try countingCPU { bench in
      try Reconnects(script, clients: clients, eventsMax: eventsMax, seed: seed).run(&bench)
    }
  }
}
