import Foundation

/// Why a text is not the JSON that was asked for.
public struct JSONParseError: Error, Sendable, CustomStringConvertible {
  /// One phrase for a person, such as `Invalid value around character 5`.
  public let description: String
}

extension JSONObject {
  /// Reads a JSON object from UTF-8 text with Foundation's parser, which bounds the nesting to 512 levels.
  ///
  /// Foundation does not say in which order the members stood; they are sorted by name, so that the same
  /// text always gives the same bytes again.
  ///
  /// - Throws: `JSONParseError` for what is not UTF-8, not JSON, or not an object.
  public init(parsing text: UnsafeRawBufferPointer) throws(JSONParseError) {
    guard case .object(let object) = try JSONValue(parsing: text) else {
      throw JSONParseError(description: "it is not a JSON object")
    }
    self = object
  }

  /// Reads a JSON object from a string; see `init(parsing:)` for bytes.
  public init(parsing text: String) throws(JSONParseError) {
    let bytes = Array(text.utf8)
    do { self = try bytes.withUnsafeBytes { try JSONObject(parsing: $0) } } catch let error as JSONParseError
    {
      throw error
    } catch {
      throw JSONParseError(description: "\(error)")
    }
  }
}

extension JSONValue {
  /// Reads any JSON value from UTF-8 text; see `JSONObject.init(parsing:)`.
  public init(parsing text: UnsafeRawBufferPointer) throws(JSONParseError) {
    guard let start = text.baseAddress, !text.isEmpty else {
      throw JSONParseError(description: "it is empty")
    }
    // Foundation guesses UTF-16 and UTF-32 from zero bytes and byte order marks; the protocol is UTF-8 only.
    if text[0] >= 0xFE || memchr(start, 0, text.count) != nil {
      throw JSONParseError(description: "it is not UTF-8 text")
    }
    let data = Data(
      bytesNoCopy: UnsafeMutableRawPointer(mutating: start), count: text.count, deallocator: .none)
    let parsed: Any
    do {
      parsed = try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)
    } catch {
      let reason = (error as NSError).userInfo["NSDebugDescription"] as? String ?? error.localizedDescription
      throw JSONParseError(description: reason.hasSuffix(".") ? String(reason.dropLast()) : reason)
    }
    if let at = text.trailingComma {
      throw JSONParseError(description: "Comma after the last element at byte \(at)")
    }
    self.init(foundation: parsed)
  }

  init(foundation value: Any) {
    // A cast that fails costs as much as all the rest: the type says which one will not.
    let type = type(of: value)
    if type == String.self, let text = value as? String {
      self = .string(text)
    } else if type == [String: Any].self, let members = value as? [String: Any] {
      self.init(members)
    } else {
      switch value {
      case let number as NSNumber: self.init(number: number)
      case let elements as [Any]: self = .array(elements.map(JSONValue.init(foundation:)))
      case let text as String: self = .string(text)
      case let members as [String: Any]: self.init(members)
      default: self = .null
      }
    }
  }

  private init(_ members: [String: Any]) {
    if members.count == 1, let (name, value) = members.first {
      self = .object(JSONObject(name, JSONValue(foundation: value)))
    } else {
      let sorted = members.sorted { $0.key < $1.key }
      self = .object(JSONObject(sorted.lazy.map { ($0.key, JSONValue(foundation: $0.value)) }))
    }
  }

  private init(number: NSNumber) {
    switch UInt8(bitPattern: number.objCType.pointee) {
    case UInt8(ascii: "c"), UInt8(ascii: "B"): self = .bool(number.boolValue)
    case UInt8(ascii: "d"), UInt8(ascii: "f"): self = .double(number.doubleValue)
    case UInt8(ascii: "Q"):
      self = Int64(exactly: number.uint64Value).map(JSONValue.int) ?? .double(number.doubleValue)
    default: self = .int(number.int64Value)
    }
  }
}

extension UnsafeRawBufferPointer {
  /// Where a comma stands before a closing bracket, in a text that is JSON otherwise. Foundation lets it pass.
  fileprivate var trailingComma: Int? {
    var comma: Int?
    var at = 0
    while at < count {
      switch self[at] {
      case UInt8(ascii: "\""):
        comma = nil
        at += 1
        while at < count, self[at] != UInt8(ascii: "\"") { at += self[at] == UInt8(ascii: "\\") ? 2 : 1 }
      case UInt8(ascii: ","): comma = at
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if let comma { return comma }
      case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): break
      default: comma = nil
      }
      at += 1
    }
    return nil
  }
}
