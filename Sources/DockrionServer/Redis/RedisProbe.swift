import DockrionCore
import Foundation

/// What a server asks of Redis, once each, for tools that want to know beforehand whether it would be refused.
public enum RedisProbe {
  /// Stands in a step's words for what Redis answered to the step before.
  public static let digest = "<digest>"

  /// Commands in their order. What they leave in Redis is gone after a second.
  public static func steps(_ url: RedisURL, prefix: String) -> [(name: String, words: [String])] {
    let id = "doctor-" + UUID().uuidString
    let keys = RedisKeys(prefix: prefix)
    let run = keys.run(id)
    var steps: [(name: String, words: [String])] = []
    if let password = url.password {
      steps.append(("AUTH", ["AUTH"] + [url.user, password].compactMap(\.self)))
    }
    steps.append(("PING", ["PING"]))
    if url.database != 0 { steps.append(("SELECT", ["SELECT", "\(url.database)"])) }
    steps += [
      ("SCRIPT LOAD", ["SCRIPT", "LOAD", RedisScript.create.text]),
      (
        "EVALSHA (create)",
        [
          "EVALSHA", digest, "2", run.record, run.events, "1", "status", "accepted", "owner", id, "seq", "0",
          "created_at", "0",
        ]
      ),
      ("SCRIPT LOAD", ["SCRIPT", "LOAD", RedisScript.append.text]),
      (
        "EVALSHA (append)",
        [
          "EVALSHA", digest, "3", run.record, run.events, run.channel, id, "0", "1", "probe", "1-0", "1",
          "status", "completed",
        ]
      ),
      ("SET", ["SET", keys.lease(id), "1", "PX", "1000"]), ("EXISTS", ["EXISTS", keys.instances]),
      ("SADD", ["SADD", keys.owned(id), id]), ("SREM", ["SREM", keys.owned(id), id]),
      ("ZREMRANGEBYSCORE", ["ZREMRANGEBYSCORE", keys.runs, "-inf", "-1"]),
      ("PUBLISH", ["PUBLISH", keys.inbox(id), ""]), ("SUBSCRIBE", ["SUBSCRIBE", keys.inbox(id)]),
    ]
    return steps
  }
}
