/// Why a text is not the JSON that was asked for.
public struct JSONParseError: Error, Sendable, CustomStringConvertible {
  /// One phrase for a person, such as `line 1, column 8: a value is needed, not ","`.
  public let description: String
}

extension JSONObject {
  /// Reads a JSON object from UTF-8 text, as strictly as RFC 8259 is written.
  ///
  /// Refused are also what it allows and `JSONValue` cannot hold: numbers beyond `Double`, escapes of half a surrogate
  /// pair, and more than 512 levels.
  ///
  /// - Throws: `JSONParseError` for what is not UTF-8, not JSON, or not an object.
  public init(parsing text: UnsafeRawBufferPointer) throws(JSONParseError) {
    var memory = 0
    try self.init(parsing: text, memoryBytes: &memory)
  }

  /// The same.
  ///
  /// - Parameters:
  ///   - memoryBytes: gets added what the object takes in memory, about.
  ///   - levelsMax: levels of arrays and objects in each other; more are refused.
  public init(
    parsing text: UnsafeRawBufferPointer, memoryBytes: inout Int, levelsMax: Int = Limits.jsonLevelsMax
  ) throws(JSONParseError) {
    var reader = JSONReader(text, levelsMax: levelsMax)
    let value: JSONValue
    do throws(JSONReader.Flaw) { value = try reader.read() } catch { throw reader.explain(error) }
    guard case .object(let object) = value else {
      throw JSONParseError(description: "it is not a JSON object")
    }
    memoryBytes += reader.memoryBytes
    self = object
  }

  /// Reads a JSON object from a string; see `init(parsing:)` for bytes.
  public init(parsing text: String) throws(JSONParseError) {
    let read = text.withBytes { bytes in
      Result { () throws(JSONParseError) in try JSONObject(parsing: bytes) }
    }
    self = try read.get()
  }
}

extension JSONValue {
  /// Reads any JSON value from UTF-8 text; see `JSONObject.init(parsing:)`.
  public init(parsing text: UnsafeRawBufferPointer) throws(JSONParseError) {
    var reader = JSONReader(text)
    do throws(JSONReader.Flaw) { self = try reader.read() } catch { throw reader.explain(error) }
  }
}
