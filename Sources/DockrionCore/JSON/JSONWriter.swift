/// A value that JSON has no form for.
public struct JSONWriteError: Error, Sendable, Hashable, CustomStringConvertible {
  /// Where and why, such as `score: NaN has no JSON form`.
  public let description: String
}

// JSON text (RFC 8259) straight into a `ByteWriter`. Non-goals: pretty printing, and checking for members
// with the same name, which `JSONObject` rules out.
extension ByteWriter {
  /// Writes a value.
  ///
  /// - Parameter name: what to call the value in an error.
  /// - Throws: `JSONWriteError` for a number that is not finite.
  public mutating func append(json value: JSONValue, name: @autoclosure () -> String = "value")
    throws(JSONWriteError)
  {
    switch value {
    case .null: append("null")
    case .bool(let flag): append(flag ? "true" : "false")
    case .int(let number): append(decimal: Int(number))
    case .double(let number): try append(json: number, name: name())
    case .string(let text): append(json: text)
    case .object(let object): try append(json: object, name: name())
    case .array(let elements):
      append(UInt8(ascii: "["))
      var index = 0
      for element in elements {
        if index > 0 { append(UInt8(ascii: ",")) }
        try append(json: element, name: "\(name())[\(index)]")
        index += 1
      }
      append(UInt8(ascii: "]"))
    }
  }

  /// Writes an object, its members in their order.
  public mutating func append(json object: JSONObject, name: @autoclosure () -> String = "")
    throws(JSONWriteError)
  {
    append(UInt8(ascii: "{"))
    var first = true
    for (member, value) in object.members {
      if !first { append(UInt8(ascii: ",")) }
      first = false
      append(json: member)
      append(UInt8(ascii: ":"))
      try append(json: value, name: name().isEmpty ? member : "\(name()).\(member)")
    }
    append(UInt8(ascii: "}"))
  }

  /// Writes a number in the shortest form that reads back as the same value.
  ///
  /// - Throws: `JSONWriteError` when it is infinite or not a number.
  public mutating func append(json number: Double, name: @autoclosure () -> String) throws(JSONWriteError) {
    guard number.isFinite else {
      let kind = number.isNaN ? "NaN" : number > 0 ? "infinity" : "-infinity"
      throw JSONWriteError(description: "\(name()): \(kind) has no JSON form; a finite number is needed")
    }
    append(number.description)
  }

  /// Writes a string with its quotation marks.
  ///
  /// Besides what JSON demands, U+0085, U+2028 and U+2029 are escaped: JSON allows them as they are, but
  /// clients that cut an event stream with a Unicode-aware "split lines" would cut an event in two.
  public mutating func append(json text: String) {
    withBytes(of: text) { $0.append(jsonBytes: $1) }
  }

  private mutating func append(jsonBytes bytes: UnsafeRawBufferPointer) {
    append(UInt8(ascii: "\""))
    var clean = 0
    var at = 0
    while at < bytes.count {
      at = bytes.endOfPlainText(from: at)
      guard at < bytes.count else { break }
      let escape = bytes.escape(at: at)
      guard escape.length > 0 else {
        at += 1
        continue
      }
      append(UnsafeRawBufferPointer(rebasing: bytes[clean..<at]))
      appendEscaped(escape.scalar)
      at += escape.length
      clean = at
    }
    append(UnsafeRawBufferPointer(rebasing: bytes[clean..<bytes.count]))
    append(UInt8(ascii: "\""))
  }

  private mutating func appendEscaped(_ scalar: UInt16) {
    switch scalar {
    case 0x22: append("\\\"")
    case 0x5C: append("\\\\")
    case 0x08: append("\\b")
    case 0x0C: append("\\f")
    case 0x0A: append("\\n")
    case 0x0D: append("\\r")
    case 0x09: append("\\t")
    default:
      append("\\u")
      for shift in [12, 8, 4, 0] {
        let digit = UInt8(truncatingIfNeeded: (scalar >> UInt16(shift)) & 15)
        append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
      }
    }
  }
}

extension UnsafeRawBufferPointer {
  /// The first position from `start` on whose byte may need an escape; `count` when there is none.
  @inline(__always)
  fileprivate func endOfPlainText(from start: Int) -> Int {
    var at = start
    while at + 16 <= count {
      let lane = loadUnaligned(fromByteOffset: at, as: SIMD16<UInt8>.self)
      let hit =
        (lane .< 0x20) .| (lane .== 0x22) .| (lane .== 0x5C) .| (lane .== 0xE2) .| (lane .== 0xC2)
      if any(hit) { break }
      at += 16
    }
    while at < count {
      let byte = self[at]
      if byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0xE2 || byte == 0xC2 { return at }
      at += 1
    }
    return count
  }

  /// What stands at `at` and how many bytes it has, when it must be escaped; a length of 0 when not.
  fileprivate func escape(at: Int) -> (scalar: UInt16, length: Int) {
    switch self[at] {
    case 0xC2: at + 1 < count && self[at + 1] == 0x85 ? (0x85, 2) : (0, 0)
    case 0xE2:
      at + 2 < count && self[at + 1] == 0x80 && self[at + 2] & 0xFE == 0xA8
        ? (0x2000 | UInt16(self[at + 2] & 0x3F), 3) : (0, 0)
    case let byte: (UInt16(byte), 1)
    }
  }
}
