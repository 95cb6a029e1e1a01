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
    for (member, value) in object {
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
}
