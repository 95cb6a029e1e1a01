import Glibc

/// Reads one JSON text, from its first byte to its last, without recursion.
///
/// What is complete waits on a stack until the array or object around it is, and is then moved into memory of exactly
/// the right size.
struct JSONReader: ~Copyable {
  /// What is wrong at the place where reading stopped.
  enum Flaw: Error {
    case needed(StaticString)
    case wrong(StaticString)
    case tooDeep
  }

  struct Level {
    var start: Int
    var isObject: Bool
  }

  let start: UnsafePointer<UInt8>
  let end: UnsafePointer<UInt8>
  /// Where reading stopped. While it goes on, the place is a variable of `read`, which stays in a register.
  var stop: UnsafePointer<UInt8>
  private var elements = PendingStack<JSONValue>()
  private var members = PendingStack<JSONObject.Member>()
  private var levels = PendingStack<Level>()
  var scratch = ByteWriter(capacity: 64)
  var names = NameCache()
  /// What the value takes in memory, about.
  var memoryBytes = 0
  private let levelsMax: Int

  init(_ text: UnsafeRawBufferPointer, levelsMax: Int = Limits.jsonLevelsMax) {
    self.levelsMax = levelsMax
    // Of an empty text no byte is read.
    let bytes = text.bindMemory(to: UInt8.self)
    start = bytes.baseAddress ?? UnsafePointer(bitPattern: 1).unsafelyUnwrapped
    end = start + bytes.count
    stop = start
  }

  // MARK: Values

  mutating func read() throws(Flaw) -> JSONValue {
    if start == end { throw .wrong("it is empty") }
    var at = start
    skipSpace(&at)
    while true {
      guard var value = try readStart(&at) else { continue }
      // The value is complete, and may complete what is around it.
      while true {
        skipSpace(&at)
        guard levels.count > 0 else {
          guard at == end else { throw needed("the end", at) }
          return value
        }
        let level = levels.last.pointee
        if level.isObject {
          // Over the null that waits there, which nothing has to be freed of.
          withUnsafeMutablePointer(to: &members.last.pointee.value) { $0.initialize(to: value) }
          let byte = peek(at)
          if byte == UInt8(ascii: ",") {
            at += 1
            skipSpace(&at)
            try readMemberName(&at)
            break
          }
          guard byte == UInt8(ascii: "}") else { throw needed("a comma or }", at) }
          value = .object(closeObject(level.start))
        } else {
          elements.push(consume value)
          let byte = peek(at)
          if byte == UInt8(ascii: ",") {
            at += 1
            skipSpace(&at)
            break
          }
          guard byte == UInt8(ascii: "]") else { throw needed("a comma or ]", at) }
          value = .array(closeArray(level.start))
        }
        at += 1
        levels.drop()
      }
    }
  }

  /// Reads a value, or nil when it is one that others stand in and the first of them comes now.
  @inline(__always)
  private mutating func readStart(_ at: inout UnsafePointer<UInt8>) throws(Flaw) -> JSONValue? {
    switch peek(at) {
    case UInt8(ascii: "\""):
      at += 1
      return .string(try readString(&at))
    case UInt8(ascii: "{"):
      try open(isObject: true, &at)
      if peek(at) == UInt8(ascii: "}") {
        at += 1
        levels.drop()
        return .object(JSONObject())
      }
      try readMemberName(&at)
      return nil
    case UInt8(ascii: "["):
      try open(isObject: false, &at)
      if peek(at) == UInt8(ascii: "]") {
        at += 1
        levels.drop()
        return .array([])
      }
      return nil
    case UInt8(ascii: "t"):
      try skip("true", &at)
      return .bool(true)
    case UInt8(ascii: "f"):
      try skip("false", &at)
      return .bool(false)
    case UInt8(ascii: "n"):
      try skip("null", &at)
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try readNumber(&at)
    default: throw needed("a value", at)
    }
  }

  @inline(__always)
  private mutating func open(isObject: Bool, _ at: inout UnsafePointer<UInt8>) throws(Flaw) {
    guard levels.count < levelsMax else {
      stop = at
      throw .tooDeep
    }
    levels.push(Level(start: isObject ? members.count : elements.count, isObject: isObject))
    at += 1
    skipSpace(&at)
  }

  @inline(__always)
  private mutating func readMemberName(_ at: inout UnsafePointer<UInt8>) throws(Flaw) {
    guard peek(at) == UInt8(ascii: "\"") else { throw needed("a name in quotation marks", at) }
    at += 1
    members.push(JSONObject.Member(name: try readName(&at), value: .null))
    skipSpace(&at)
    guard peek(at) == UInt8(ascii: ":") else { throw needed("a colon", at) }
    at += 1
    skipSpace(&at)
  }

  private mutating func closeObject(_ start: Int) -> JSONObject {
    let count = members.count - start
    memoryBytes += Self.block(32 + count * MemoryLayout<JSONObject.Member>.stride)
    if count >= JSONObject.indexedFrom { memoryBytes += 32 + count * 12 }
    return JSONObject(moving: members.pop(from: start))
  }

  private mutating func closeArray(_ start: Int) -> [JSONValue] {
    let count = elements.count - start
    memoryBytes += Self.block(32 + count * MemoryLayout<JSONValue>.stride)
    // No room to spare, as an array has that grew.
    return Array(unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = elements.move(from: start, to: buffer.baseAddress.unsafelyUnwrapped)
    }
  }

  /// What an allocator takes for so many bytes.
  private static func block(_ bytes: Int) -> Int { (bytes + 15) & ~15 }

  // MARK: Bytes

  /// The byte there; 0, which no JSON text has, at the end.
  @inline(__always)
  func peek(_ at: UnsafePointer<UInt8>) -> UInt8 { at < end ? at.pointee : 0 }

  @inline(__always)
  private func skipSpace(_ at: inout UnsafePointer<UInt8>) {
    while at < end, at.pointee <= 0x20 {
      guard at.pointee == 0x20 || at.pointee == 0x0A || at.pointee == 0x0D || at.pointee == 0x09 else {
        return
      }
      at += 1
    }
  }

  @inline(__always)
  private mutating func skip(_ word: StaticString, _ at: inout UnsafePointer<UInt8>) throws(Flaw) {
    let length = word.utf8CodeUnitCount
    guard end - at >= length, memcmp(at, word.utf8Start, length) == 0 else { throw needed("a value", at) }
    at += length
  }

  // MARK: Flaws

  mutating func needed(_ what: StaticString, _ at: UnsafePointer<UInt8>) -> Flaw {
    stop = at
    return .needed(what)
  }

  mutating func wrong(_ what: StaticString, _ at: UnsafePointer<UInt8>) -> Flaw {
    stop = at
    return .wrong(what)
  }

  /// Says what is wrong, and where.
  func explain(_ flaw: Flaw) -> JSONParseError {
    switch flaw {
    case .wrong(let text) where start == end: return JSONParseError(description: "\(text)")
    case .wrong(let text): return JSONParseError(description: "\(place): \(text)")
    case .tooDeep:
      return JSONParseError(description: "\(place): it is nested deeper than \(levelsMax) levels")
    case .needed(let what):
      let found: String
      if stop == end {
        found = "the end"
      } else if stop.pointee > 0x20, stop.pointee < 0x7F {
        found = "\"\(Unicode.Scalar(stop.pointee))\""
      } else {
        found = "the byte 0x\(String(stop.pointee, radix: 16, uppercase: true))"
      }
      return JSONParseError(description: "\(place): \(what) is needed, not \(found)")
    }
  }

  private var place: String {
    var (line, column) = (1, 1)
    for byte in UnsafeBufferPointer(start: start, count: stop - start) {
      if byte == 0x0A { (line, column) = (line + 1, 1) } else if byte & 0xC0 != 0x80 { column += 1 }
    }
    return "line \(line), column \(column)"
  }
}
