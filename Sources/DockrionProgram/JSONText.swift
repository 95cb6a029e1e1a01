import DockrionCore

package enum JSONText {
  /// The value on one line, with every character escaped that could steer a terminal.
  package static func line(_ value: JSONValue) throws -> String {
    var writer = ByteWriter()
    try writer.append(json: value)
    return Terminal.harmless(json: String(decoding: writer.bytes, as: UTF8.self))
  }

  /// The value on lines of its own, indented by two spaces a level.
  package static func pretty(_ value: JSONValue, indentation: String = "") throws -> String {
    let inner = indentation + "  "
    switch value {
    case .object(let object) where !object.isEmpty:
      let members = try object.map { name, value in
        "\(inner)\(try line(.string(name))): \(try pretty(value, indentation: inner))"
      }
      return "{\n" + members.joined(separator: ",\n") + "\n\(indentation)}"
    case .array(let elements) where elements.contains { $0.object != nil || $0.array != nil }:
      let shown = try elements.map { inner + (try pretty($0, indentation: inner)) }
      return "[\n" + shown.joined(separator: ",\n") + "\n\(indentation)]"
    default: return try line(value)
    }
  }
}

extension String {
  /// The text with spaces behind it.
  package func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
