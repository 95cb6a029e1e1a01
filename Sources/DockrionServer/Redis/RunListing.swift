/// Lists the runs of one connection: those that execute here, and all in their order. What a tick brings is collected,
/// so that many runs cost one command.
final class RunListing {
  let connection: RedisConnection
  private let ownedKey: String
  private let runsKey: String
  private var beginning: [(id: String, create: (RedisOutcome) -> Void)] = []
  private var confirmed: [(id: String, score: Int64)] = []
  private var over: [String] = []
  private var isUnflushed = false

  /// Told of the first thing since the last `flush`.
  var onUnflushed: () -> Void = {}

  /// - Parameters:
  ///   - owned: the key of the set of runs whose agents execute here.
  ///   - runs: the key of all runs by the moment they were made.
  init(_ connection: RedisConnection, owned: String, runs: String) {
    self.connection = connection
    ownedKey = owned
    runsKey = runs
  }

  /// Lists a run as executing here, and then calls `create`, which makes its record behind it, on the same connection.
  func own(_ id: String, _ create: @escaping (RedisOutcome) -> Void) {
    beginning.append((id, create))
    touch()
  }

  /// Lists a run whose record stands. - Parameter moment: nanoseconds since 1970.
  func made(_ id: String, at moment: Int64) {
    confirmed.append((id, moment / 1000))
    touch()
  }

  /// A run's end is stored.
  func ended(_ id: String) {
    over.append(id)
    touch()
  }

  private func touch() {
    if isUnflushed { return }
    isUnflushed = true
    onUnflushed()
  }

  /// Sends what was collected; once a tick.
  func flush() {
    isUnflushed = false
    if !over.isEmpty {
      let command = RedisCommand(words: 2 + over.count)
      command.add("SREM")
      command.add(ownedKey)
      for id in over { command.add(id) }
      over.removeAll(keepingCapacity: true)
      connection.send(command) { _ in }
    }
    flushBeginning()
    if !confirmed.isEmpty {
      let command = RedisCommand(words: 2 + confirmed.count * 2)
      command.add("ZADD")
      command.add(runsKey)
      for run in confirmed {
        command.add("\(run.score)")
        command.add(run.id)
      }
      confirmed.removeAll(keepingCapacity: true)
      connection.send(command) { _ in }
    }
  }

  private func flushBeginning() {
    guard !beginning.isEmpty else { return }
    let begun = beginning
    beginning = []
    let command = RedisCommand(words: 2 + begun.count)
    command.add("SADD")
    command.add(ownedKey)
    for run in begun { command.add(run.id) }
    let outcome = RedisOutcome()
    connection.send(command) { if $0.problem != nil { outcome.refusal = $0 } }
    for run in begun { run.create(outcome) }
  }
}
