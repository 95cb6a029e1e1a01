import DockrionCore

/// The names of all keys and channels; `docs/redis-schema.md` describes what is in them.
struct RedisKeys {
  /// The keys of one run. The braces make a cluster keep them together.
  struct OfRun {
    private let tagged: String

    fileprivate init(_ tagged: String) { self.tagged = tagged }

    var record: String { tagged + ":run" }
    var events: String { tagged + ":events" }
    var channel: String { tagged + ":live" }
  }

  let prefix: String

  func run(_ id: String) -> OfRun { OfRun(prefix + ":{" + id + "}") }

  /// A sorted set of all runs by the moment they were made, in microseconds.
  var runs: String { "\(prefix):runs" }
  /// A set of the instances that run or ran.
  var instances: String { "\(prefix):instances" }
  /// A string that expires when its instance is lost.
  func lease(_ instance: String) -> String { "\(prefix):lease:\(instance)" }
  /// A set of the runs whose agents execute in an instance.
  func owned(_ instance: String) -> String { "\(prefix):owned:\(instance)" }
  /// A set of the runs that an instance is asked to cancel.
  func cancels(_ instance: String) -> String { "\(prefix):cancels:\(instance)" }
  /// The channel on which an instance is asked at once.
  func inbox(_ instance: String) -> String { "\(prefix):inbox:\(instance)" }
  /// What an idempotency key has made: `RUN_ID BODY CREATED_AT`.
  func idempotency(_ key: String) -> String { "\(prefix):idempotency:\(key)" }
}
