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
  var at: UnsafePointer<UInt8>
  private var elements = PendingStack<JSONValue>()
  private var members = PendingStack<JSONObject.Member>()
  private var levels = PendingStack<Level>()
  var scratch = ByteWriter(capacity: 64)
  /// What the value takes in memory, about.
  var memoryBytes = 0
  private let levelsMax: Int

  init(_ text: UnsafeRawBufferPointer, levelsMax: Int = Limits.jsonLevelsMax) {
    self.levelsMax = levelsMax
    // Of an empty text no byte is read.
    let bytes = text.bindMemory(to: UInt8.self)
    start = bytes.baseAddress ?? UnsafePointer(bitPattern: 1).unsafelyUnwrapped
    end = start + bytes.count
    at = start
  }

  // MARK: Values

  mutating func read() throws(Flaw) -> JSONValue {
    if at == end { throw .wrong("it is empty") }
    skipSpace()
    while true {
      guard var value = try readStart() else { continue }
      // The value is complete, and may complete what is around it.
      while true {
        skipSpace()
        guard levels.count > 0 else {
          guard at == end else { throw .needed("the end") }
          return value
        }
        let level = levels[levels.count - 1]
        if level.isObject {
          members[members.count - 1].value = consume value
          if peek == UInt8(ascii: ",") {
            at += 1
            skipSpace()
            try readName()
            break
          }
          guard peek == UInt8(ascii: "}") else { throw .needed("a comma or }") }
          value = .object(closeObject(level.start))
        } else {
          elements.push(consume value)
          if peek == UInt8(ascii: ",") {
            at += 1
            skipSpace()
            break
          }
          guard peek == UInt8(ascii: "]") else { throw .needed("a comma or ]") }
          value = .array(closeArray(level.start))
        }
        at += 1
        levels.drop()
      }
    }
  }

  /// Reads a value, or nil when it is one that others stand in and the first of them comes now.
  @inline(__always)
  private mutating func readStart() throws(Flaw) -> JSONValue? {
    switch peek {
    case UInt8(ascii: "\""):
      at += 1
      return .string(try readString())
    case UInt8(ascii: "{"):
      try open(isObject: true)
      if peek == UInt8(ascii: "}") {
        at += 1
        levels.drop()
        return .object(JSONObject())
      }
      try readName()
      return nil
    case UInt8(ascii: "["):
      try open(isObject: false)
      if peek == UInt8(ascii: "]") {
        at += 1
        levels.drop()
        return .array([])
      }
      return nil
    case UInt8(ascii: "t"):
      try skip("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try skip("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try skip("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try readNumber()
    default: throw .needed("a value")
    }
  }

  private mutating func open(isObject: Bool) throws(Flaw) {
    guard levels.count < levelsMax else { throw .tooDeep }
    levels.push(Level(start: isObject ? members.count : elements.count, isObject: isObject))
    at += 1
    skipSpace()
  }

  private mutating func readName() throws(Flaw) {
    guard peek == UInt8(ascii: "\"") else { throw .needed("a name in quotation marks") }
    at += 1
    members.push(JSONObject.Member(name: try readString(), value: .null))
    skipSpace()
    guard peek == UInt8(ascii: ":") else { throw .needed("a colon") }
    at += 1
    skipSpace()
  }

  private mutating func closeObject(_ start: Int) -> JSONObject {
    let count = members.count - start
    memoryBytes += 32 + count * MemoryLayout<JSONObject.Member>.stride
    if count >= JSONObject.indexedFrom { memoryBytes += 32 + count * 12 }
    return JSONObject(moving: members.pop(from: start))
  }

  private mutating func closeArray(_ start: Int) -> [JSONValue] {
    memoryBytes += 32 + (elements.count - start) * MemoryLayout<JSONValue>.stride
    let given = elements.pop(from: start)
    // No room to spare, as an array has that grew.
    return Array(unsafeUninitializedCapacity: given.count) { buffer, initialized in
      initialized = buffer.moveInitialize(fromContentsOf: given)
    }
  }

  // MARK: Bytes

  /// The next byte; 0, which no JSON text has, at the end.
  @inline(__always)
  var peek: UInt8 { at < end ? at.pointee : 0 }

  @inline(__always)
  private mutating func skipSpace() {
    while at < end, at.pointee <= 0x20 {
      guard at.pointee == 0x20 || at.pointee == 0x0A || at.pointee == 0x0D || at.pointee == 0x09 else {
        return
      }
      at += 1
    }
  }

  private mutating func skip(_ word: StaticString) throws(Flaw) {
    let length = word.utf8CodeUnitCount
    guard end - at >= length, memcmp(at, word.utf8Start, length) == 0 else { throw .needed("a value") }
    at += length
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
      if at == end {
        found = "the end"
      } else if at.pointee > 0x20, at.pointee < 0x7F {
        found = "\"\(Unicode.Scalar(at.pointee))\""
      } else {
        found = "the byte 0x\(String(at.pointee, radix: 16, uppercase: true))"
      }
      return JSONParseError(description: "\(place): \(what) is needed, not \(found)")
    }
  }

  private var place: String {
    var (line, column) = (1, 1)
    for byte in UnsafeBufferPointer(start: start, count: at - start) {
      if byte == 0x0A { (line, column) = (line + 1, 1) } else if byte & 0xC0 != 0x80 { column += 1 }
    }
    return "line \(line), column \(column)"
  }
}
