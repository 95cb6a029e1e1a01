import DockrionCore

/// A run's record as the fields of a hash.
enum RedisRecord {
  typealias Fields = [(name: String, value: [UInt8])]

  /// What is read, in this order.
  static let names = [
    "status", "created_at", "started_at", "completed_at", "output", "error", "agent", "framework", "latency",
    "seq", "told",
  ]

  static func created(_ moment: Int64, _ agent: ServedAgent, owner: String, key: String?) -> Fields {
    var fields = created(agent, owner: owner).map { (name: $0, value: Array($1.utf8)) }
    fields.append(("created_at", decimal(moment)))
    if let key { fields.append(("idempotency_key", Array(key.utf8))) }
    return fields
  }

  /// The same as words, up to the moment, which comes last.
  static func createdWords(_ agent: ServedAgent, owner: String) -> RedisWords {
    RedisWords(created(agent, owner: owner).flatMap { [$0, $1] } + ["created_at"])
  }

  private static func created(_ agent: ServedAgent, owner: String) -> [(String, String)] {
    [
      ("status", RunStatus.accepted.rawValue), ("owner", owner), ("seq", "0"), ("agent", agent.name),
      ("framework", agent.framework),
    ]
  }

  static func started(at moment: Int64) -> Fields {
    [("status", Array(RunStatus.running.rawValue.utf8)), ("started_at", decimal(moment))]
  }

  static func ended(_ record: RunRecord, cancelledBy token: String?) -> Fields {
    var fields: Fields = [("status", Array(record.status.rawValue.utf8))]
    if let token { fields.append(("cancelled_by", Array(token.utf8))) }
    if let moment = record.startedAt { fields.append(("started_at", decimal(moment))) }
    if let moment = record.completedAt { fields.append(("completed_at", decimal(moment))) }
    if let output = record.output { fields.append(("output", output)) }
    if let error = record.error { fields.append(("error", error)) }
    if let latency = record.latencySeconds { fields.append(("latency", Array(latency.description.utf8))) }
    return fields
  }

  /// Reads the answer to `HMGET` of `names`; nil when there is no such run.
  static func record(_ id: String, _ reply: RedisReply) -> RunRecord? {
    guard let values = reply.array, values.count == names.count,
      let status = values[0].text.flatMap(RunStatus.init(rawValue:)), let createdAt = values[1].int
    else { return nil }
    return RunRecord(
      id: id, status: status, createdAt: Int64(createdAt), startedAt: values[2].int.map(Int64.init),
      completedAt: values[3].int.map(Int64.init), output: values[4].bytes, error: values[5].bytes,
      agentName: values[6].text ?? "", framework: values[7].text ?? "",
      latencySeconds: values[8].text.flatMap(Double.init), lastSequence: values[9].int ?? 0)
  }

  /// True when the answer to `HMGET` of `names` tells of a run that its owner may still take back.
  static func isUnconfirmed(_ reply: RedisReply) -> Bool {
    guard let values = reply.array, values.count == names.count else { return false }
    return values[0].text == RunStatus.accepted.rawValue && values[10].text == nil
  }

  private static func decimal(_ number: Int64) -> [UInt8] { Array(number.description.utf8) }
}
