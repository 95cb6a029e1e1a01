import DockrionCore

/// How far a run has come in Redis: `HMGET` of `names`.
struct RunPosition {
  static let names = ["status", "seq", "told"]

  let status: RunStatus
  let sequence: Int
  /// Its owner must not take it back: somebody was answered with it.
  let isTold: Bool

  /// Nil when there is no such run.
  init?(_ reply: RedisReply) {
    guard let values = reply.array, values.count >= 2,
      let status = values[0].text.flatMap(RunStatus.init(rawValue:)), let sequence = values[1].int
    else { return nil }
    self.status = status
    self.sequence = sequence
    isTold = status != .accepted || values.last?.text == "1"
  }
}
