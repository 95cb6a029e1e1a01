import ArgumentParser
import LoadClient

struct Streams: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Many agents at once, each streaming slowly to its own client.",
    discussion: "Example: dockrion-load streams --streams 2000 --tokens 50 --interval 20")

  @OptionGroup var common: Common
  @Option(help: "Streams at once.") var streams = 2000
  @Option(help: "Tokens of each stream.") var tokens = 50
  @Option(help: "Milliseconds between tokens; 0 for none.") var interval = 20.0
  @Flag(help: "Pattern B: a run and a subscription each, instead of /invoke/stream.") var runs = false

  func validate() throws {
    try check("streams", streams, 1...60_000)
    try check("tokens", tokens, 1...1_000_000)
  }

  func run() throws {
    var script = Script()
    (script.tokens, script.intervalMilliseconds) = (tokens, interval)
    try common.run(
      "streams", "\(streams) streams of \(tokens) tokens, \(interval) ms apart, Pattern \(runs ? "B" : "A")"
    ) { try $0.manyStreams(script, count: streams, managed: runs) }
  }
}

struct First: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time to the first event, one request after the other.",
    discussion: "Example: dockrion-load first --requests 2000 --no-keep-alive")

  @OptionGroup var common: Common
  @Option(help: "Requests.") var requests = 2000
  @Flag(inversion: .prefixedNo, help: "One connection for all.") var keepAlive = true

  func validate() throws { try check("requests", requests, 1...10_000_000) }

  func run() throws {
    try common.run(
      "first", "\(requests) streams of one token, one after the other, keep-alive \(keepAlive ? "on" : "off")"
    ) { try $0.firstEvent(requests: requests, keepAlive: keepAlive) }
  }
}

struct Latency: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time from an agent's emit to the client's read, from the stamps in the tokens.",
    discussion: "Example: dockrion-load latency --streams 20 --tokens 200 --interval 5 --runs")

  @OptionGroup var common: Common
  @Option(help: "Streams at once.") var streams = 20
  @Option(help: "Tokens of each stream.") var tokens = 200
  @Option(help: "Milliseconds between tokens.") var interval = 5.0
  @Flag(help: "Pattern B: a run and a subscription each, instead of /invoke/stream.") var runs = false
  @Option(help: "With --runs: another server with the same Redis, to subscribe on.") var followURL: String?

  func validate() throws {
    try check("streams", streams, 1...60_000)
    try check("tokens", tokens, 1...1_000_000)
    guard let followURL else { return }
    if !runs { throw ValidationError("--follow-url: needs --runs") }
    if Target(followURL) == nil {
      throw ValidationError("--follow-url: \(followURL) is neither http://ADDRESS:PORT nor unix:PATH")
    }
  }

  func run() throws {
    var script = Script()
    (script.tokens, script.intervalMilliseconds, script.stamp) = (tokens, interval, true)
    try common.run(
      "latency",
      "emit to receive on \(streams) streams of \(tokens) tokens, \(interval) ms apart, Pattern \(runs ? "B" : "A")"
    ) {
      try $0.manyStreams(script, count: streams, managed: runs, follow: followURL.flatMap { Target($0) })
    }
  }
}

struct Fanout: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "One run to many subscribers.",
    discussion: """
      With --nchan the server is nginx with Nchan (benchmarks/peers/nchan), and this program publishes the same events.

      Example: dockrion-load fanout --subscribers 1000 --tokens 1000
      """)

  @OptionGroup var common: Common
  @Option(help: "Subscribers.") var subscribers = 1000
  @Option(help: "Tokens of the run; a server keeps 10,000 events of one unless told otherwise.") var tokens =
    1000
  @Option(help: "Milliseconds between tokens; 0 for as fast as it goes.") var interval = 0.0
  @Option(help: "Milliseconds that the run waits for its subscribers; by default 1000 and 2 for each.")
  var hold: Int?
  @Flag(help: "Stamps the tokens, to measure emit to receive as well.") var stamp = false
  @Flag(help: "Publishes to Nchan instead of starting a run.") var nchan = false

  func validate() throws {
    try check("subscribers", subscribers, 1...60_000)
    try check("tokens", tokens, 1...9_998)
  }

  func run() throws {
    var script = Script()
    (script.tokens, script.intervalMilliseconds, script.stamp) = (tokens, interval, stamp)
    script.holdMilliseconds = hold ?? 1000 + 2 * subscribers
    let pace = interval > 0 ? "\(interval) ms apart" : "as fast as it goes"
    try common.run(
      "fanout",
      "one \(nchan ? "Nchan channel" : "run") of \(tokens) tokens to \(subscribers) subscribers, \(pace)"
    ) { try $0.fanOut(script, subscribers: subscribers, isChannel: nchan) }
  }
}

struct Reconnect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Clients that vanish and resume with Last-Event-ID, all the time.",
    discussion: "Example: dockrion-load reconnect --clients 200 --tokens 2000 --interval 1 --seed 7")

  @OptionGroup var common: Common
  @Option(help: "Clients.") var clients = 200
  @Option(help: "Tokens of the run.") var tokens = 2000
  @Option(help: "Milliseconds between tokens.") var interval = 1.0
  @Option(help: "A connection is broken after 1 to this many events.") var events = 200
  @Option(help: "For the same breaks again.") var seed: UInt64 = 1

  func validate() throws {
    try check("clients", clients, 1...10_000)
    try check("tokens", tokens, 1...9_998)
    try check("events", events, 1...1_000_000)
  }

  func run() throws {
    var script = Script()
    (script.tokens, script.intervalMilliseconds) = (tokens, interval)
    try common.run(
      "reconnect",
      "\(clients) clients that follow one run of \(tokens) tokens and reconnect after 1 to \(events) events"
    ) { try $0.reconnects(script, clients: clients, eventsMax: events, seed: seed) }
  }
}

struct Held: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Streams that wait, and what each costs the server in memory.",
    discussion: "Example: dockrion-load held --streams 5000 --pid PID")

  @OptionGroup var common: Common
  @Option(help: "Streams to hold.") var streams = 5000
  @Option(help: "Seconds to hold them.") var hold = 2.0

  func validate() throws {
    try check("streams", streams, 1...60_000)
    if hold <= 0 { throw ValidationError("--hold: \(hold) is no time") }
  }

  func run() throws {
    try common.run("held", "\(streams) streams that wait for \(hold) s after a token") {
      try $0.heldStreams(count: streams, holdSeconds: hold)
    }
  }
}
