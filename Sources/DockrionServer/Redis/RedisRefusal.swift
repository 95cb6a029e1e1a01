/// What Redis answered instead of doing as it was told, in words for people.
///
///     let refusal = RedisRefusal(command: "SET", answer: "READONLY You can't write against a read only replica.")
///     refusal.reason   // "Redis is a read-only replica"
///
/// `reason` and `remedy` hold nothing of the answer, which may name addresses that clients should not see.
public struct RedisRefusal: Equatable, Sendable {
  /// The command, and for a script its name.
  public let command: String
  /// Redis' own words.
  public let answer: String

  public init(command: String, answer: String) {
    self.command = command
    self.answer = answer
  }

  /// What stands in the way.
  enum Kind: String {
    case replica, memory, permission, cluster, disk, credentials, sentinel, replicas, busy, other
  }

  var kind: Kind {
    if answer.hasPrefix("ERR unknown command"), command.hasPrefix("SCRIPT") { return .sentinel }
    if answer.contains("ACL failure in script") || answer.contains("The user executing the script") {
      return .permission
    }
    switch answer.prefix(while: { $0 != " " }) {
    case "READONLY": return .replica
    case "OOM": return .memory
    case "NOPERM": return .permission
    case "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN": return .cluster
    case "MISCONF": return .disk
    case "NOAUTH", "WRONGPASS": return .credentials
    case "NOREPLICAS": return .replicas
    case "LOADING", "BUSY", "MASTERDOWN", "UNBLOCKED": return .busy
    default: return command.hasPrefix("AUTH") ? .credentials : .other
    }
  }

  /// Why the command was not carried out.
  public var reason: String {
    switch kind {
    case .replica: "Redis is a read-only replica"
    case .memory: "Redis has no memory left"
    case .permission: "this server's user may not do that in Redis"
    case .cluster: "Redis is a node of a cluster that does not serve every key"
    case .disk: "Redis cannot write to its disk and takes no writes"
    case .credentials: "Redis does not take this server's user and password"
    case .sentinel: "what answers is no Redis that keeps data, perhaps a Sentinel"
    case .replicas: "Redis has too few replicas to take writes"
    case .busy: "Redis is busy or loading its data"
    case .other: "Redis refuses a command"
    }
  }

  /// What an operator can do.
  public var remedy: String {
    switch kind {
    case .replica: "put the address of the primary into streaming.redis.url"
    case .memory: "raise maxmemory of Redis, or lower streaming.redis.stream_ttl_seconds"
    case .permission:
      "give the user the commands, keys and channels that docs/redis-schema.md lists (ACL SETUSER)"
    case .cluster: "use one Redis, or a proxy for the cluster: redirections are not followed"
    case .disk: "look into the log of Redis and free its disk"
    case .credentials: "put the user and password into streaming.redis.url"
    case .sentinel: "put the address and port of the Redis that it watches into streaming.redis.url"
    case .replicas: "look after its replicas, or lower min-replicas-to-write"
    case .busy: "wait, or look what keeps it"
    case .other: "look up its answer"
    }
  }
}

/// Which refusals were told: each kind once, and again only after it had not come up for a while. A pure value.
struct RefusalMemory {
  private static let quietNanoseconds: Int64 = 60_000_000_000
  private var seenAt: [RedisRefusal.Kind: Int64] = [:]

  /// True when a refusal is to be told. `now` is in nanoseconds of the monotonic clock.
  mutating func isNews(_ kind: RedisRefusal.Kind, now: Int64) -> Bool {
    defer { seenAt[kind] = now }
    guard let before = seenAt[kind] else { return true }
    return now - before > Self.quietNanoseconds
  }
}
