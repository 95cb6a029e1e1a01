/// A reply of Redis, in its protocol's version 2.
enum RedisValue: Sendable, Equatable {
  case null
  case integer(Int)
  case text(String)
  case array([RedisValue])

  var text: String? {
    guard case .text(let value) = self else { return nil }
    return value
  }

  var integer: Int? {
    guard case .integer(let value) = self else { return nil }
    return value
  }

  var array: [RedisValue]? {
    guard case .array(let values) = self else { return nil }
    return values
  }

  /// An array's texts; what is no text is left out.
  var texts: [String] { array?.compactMap(\.text) ?? [] }

  /// What `HGETALL` answers.
  var fields: [String: String] {
    let texts = texts
    return Dictionary(
      stride(from: 0, to: texts.count - 1, by: 2).map { (texts[$0], texts[$0 + 1]) },
      uniquingKeysWith: { _, last in last })
  }
}

/// What Redis answered instead of doing as it was told.
struct RedisRefusal: Error, CustomStringConvertible {
  let description: String
}

/// The tests' own connection to Redis: one command at a time.
final class RedisConnection {
  let database: Int
  private let connection: Connection
  private var waiting: [UInt8] = []
  private var position = 0

  init(to endpoint: Endpoint, _ options: RedisProcess.Options, database: Int = 0) throws {
    self.database = database
    connection = try Connection(to: endpoint)
    if let user = options.user {
      try command(["AUTH", user.name, user.password])
    } else if let password = options.password {
      try command(["AUTH", password])
    }
    if database != 0 { try command(["SELECT", "\(database)"]) }
  }

  @discardableResult
  func command(_ words: [String], within seconds: Double = 5) throws -> RedisValue {
    let text = words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    let deadline = Deadline.in(seconds)
    try connection.send("*\(words.count)\r\n" + text)
    waiting.removeFirst(position)
    position = 0
    return try value(until: deadline)
  }

  private func value(until deadline: Deadline) throws -> RedisValue {
    let line = try line(until: deadline)
    let rest = String(line.dropFirst())
    switch line.first {
    case "+": return .text(rest)
    case "-": throw RedisRefusal(description: rest)
    case ":": return .integer(try number(rest))
    case "$":
      let length = try number(rest)
      if length < 0 { return .null }
      try fill(length + 2, until: deadline)
      defer { position += length + 2 }
      return .text(String(decoding: waiting[position..<(position + length)], as: UTF8.self))
    case "*":
      let count = try number(rest)
      if count < 0 { return .null }
      var values: [RedisValue] = []
      for _ in 0..<count { values.append(try value(until: deadline)) }
      return .array(values)
    default: throw ClientError("Redis answers \(line)")
    }
  }

  private func number(_ text: String) throws -> Int {
    guard let number = Int(text) else { throw ClientError("Redis answers \(text) for a number") }
    return number
  }

  private func line(until deadline: Deadline) throws -> String {
    var end = position
    while true {
      while end + 1 < waiting.count {
        if waiting[end] == 13, waiting[end + 1] == 10 {
          defer { position = end + 2 }
          return String(decoding: waiting[position..<end], as: UTF8.self)
        }
        end += 1
      }
      try receive(until: deadline)
    }
  }

  /// Waits until `count` bytes are there.
  private func fill(_ count: Int, until deadline: Deadline) throws {
    while waiting.count - position < count { try receive(until: deadline) }
  }

  private func receive(until deadline: Deadline) throws {
    let bytes = try connection.receive(until: deadline)
    guard !bytes.isEmpty else { throw ClientError("Redis closed the connection") }
    waiting += bytes
  }
}
