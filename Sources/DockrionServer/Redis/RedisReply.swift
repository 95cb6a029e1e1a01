import CHiredis
import DockrionCore

/// What Redis answered, copied out of hiredis' memory.
enum RedisReply {
  case null
  case integer(Int)
  case bytes([UInt8])
  case array([RedisReply])
  /// Redis refused the command, in its words.
  case failure(String)
  /// The connection broke, or was not there; whether the command was carried out is not known.
  case disconnected
  /// There was no connection, and nothing was sent.
  case unsent

  init(_ pointer: UnsafePointer<redisReply>) {
    switch pointer.pointee.type {
    case REDIS_REPLY_INTEGER: self = .integer(Int(pointer.pointee.integer))
    case REDIS_REPLY_STRING, REDIS_REPLY_STATUS: self = .bytes(Self.bytes(pointer))
    case REDIS_REPLY_ERROR: self = .failure(String(decoding: Self.bytes(pointer), as: UTF8.self))
    case REDIS_REPLY_ARRAY:
      var elements: [RedisReply] = []
      elements.reserveCapacity(pointer.pointee.elements)
      for index in 0..<pointer.pointee.elements {
        guard let element = pointer.pointee.element[index] else { continue }
        elements.append(RedisReply(UnsafePointer(element)))
      }
      self = .array(elements)
    default: self = .null
    }
  }

  private static func bytes(_ pointer: UnsafePointer<redisReply>) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: pointer.pointee.str, count: pointer.pointee.len))
  }

  var bytes: [UInt8]? {
    if case .bytes(let bytes) = self { bytes } else { nil }
  }

  var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  var int: Int? {
    switch self {
    case .integer(let number): number
    case .bytes: text.flatMap(Int.init)
    default: nil
    }
  }

  var array: [RedisReply]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  /// Why there is no answer, in words that clients may see.
  var problem: String? {
    switch self {
    case .failure(let answer): RedisRefusal(command: "", answer: answer).reason
    case .disconnected, .unsent: "the connection to Redis is gone"
    default: nil
    }
  }

  /// What Redis refused, if it did.
  func refusal(of command: String) -> RedisRefusal? {
    if case .failure(let answer) = self { RedisRefusal(command: command, answer: answer) } else { nil }
  }
}

/// What Redis said to a command whose answer is looked at with that of a later one.
final class RedisOutcome {
  /// The answer, where the command was not carried out.
  var refusal: RedisReply?
}

/// Words of a command in the protocol's own form, put together once for many commands.
struct RedisWords {
  let count: Int
  fileprivate let bytes: [UInt8]

  init(_ words: [String]) {
    count = words.count
    var writer = ByteWriter()
    for word in words { writer.append(word: word) }
    bytes = writer.array()
  }
}

extension ByteWriter {
  fileprivate mutating func append(word: String) {
    append("$")
    append(decimal: word.utf8.count)
    append("\r\n")
    append(word)
    append("\r\n")
  }
}

/// A command in the protocol's own form, built once and copied into the connection's buffer.
final class RedisCommand {
  private var writer = ByteWriter(capacity: 256)

  /// - Parameter count: how many words follow; exactly as many must be added.
  init(words count: Int) {
    writer.append("*")
    writer.append(decimal: count)
    writer.append("\r\n")
  }

  convenience init(_ words: String...) {
    self.init(words: words.count)
    for word in words { add(word) }
  }

  func add(_ word: String) { writer.append(word: word) }

  /// As many words as they are.
  func add(_ words: RedisWords) { words.bytes.withUnsafeBytes { writer.append($0) } }

  func add(_ bytes: UnsafeRawBufferPointer) {
    writer.append("$")
    writer.append(decimal: bytes.count)
    writer.append("\r\n")
    writer.append(bytes)
    writer.append("\r\n")
  }

  /// Hands out the command's bytes.
  func withBytes(_ body: (_ start: UnsafePointer<CChar>?, _ count: Int) -> Int32) -> Int32 {
    // hiredis looks for the next word behind the last one: it needs the zero of a C string.
    writer.append(0)
    defer { writer.truncate(to: writer.count - 1) }
    return withExtendedLifetime(self) {
      body(writer.bytes.bindMemory(to: CChar.self).baseAddress, writer.count - 1)
    }
  }
}
