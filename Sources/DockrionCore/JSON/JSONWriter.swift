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
  /// - Parameters:
  ///   - name: what to call the value in an error.
  ///   - levels: levels of arrays and objects in each other that may be written.
  /// - Throws: `JSONWriteError` for a number that is not finite, and for more levels.
  public mutating func append(
    json value: JSONValue, name: @autoclosure () -> String = "value", levels: Int = Limits.jsonLevelsMax
  ) throws(JSONWriteError) {
    switch value {
    case .null: append("null")
    case .bool(let flag): append(flag ? "true" : "false")
    case .int(let number): append(decimal: Int(number))
    case .double(let number): try append(json: number, name: name())
    case .string(let text): append(json: text)
    case .object(let object): try append(json: object, name: name(), levels: levels)
    case .array(let elements):
      guard levels > 0 else { throw Self.tooDeep(name()) }
      append(UInt8(ascii: "["))
      var index = 0
      for element in elements {
        if index > 0 { append(UInt8(ascii: ",")) }
        try append(json: element, name: "\(name())[\(index)]", levels: levels - 1)
        index += 1
      }
      append(UInt8(ascii: "]"))
    }
  }

  /// Writes an object, its members in their order; see above.
  public mutating func append(
    json object: JSONObject, name: @autoclosure () -> String = "", levels: Int = Limits.jsonLevelsMax
  ) throws(JSONWriteError) {
    guard levels > 0 else { throw Self.tooDeep(name()) }
    append(UInt8(ascii: "{"))
    var first = true
    for (member, value) in object {
      if !first { append(UInt8(ascii: ",")) }
      first = false
      append(json: member)
      append(UInt8(ascii: ":"))
      try append(json: value, name: name().isEmpty ? member : "\(name()).\(member)", levels: levels - 1)
    }
    append(UInt8(ascii: "}"))
  }

  /// The way there is as long as the value is deep.
  private static func tooDeep(_ name: String) -> JSONWriteError {
    let place = name.count > 60 ? "\(name.prefix(60))…" : name
    return JSONWriteError(description: "\(place): it is nested deeper than may be written")
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
