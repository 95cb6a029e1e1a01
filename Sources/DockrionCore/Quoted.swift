/// The text in double quotes, cut to 60 characters, with what does not show written out: it stays one line, and reads as it
/// is written.
package func quoted(_ text: some StringProtocol) -> String {
  let shown = text.prefix(60)
  var result = "\""
  for scalar in shown.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\t": result += "\\t"
    case "\r": result += "\\r"
    case _ where scalar.doesNotShow: result += "\\u{\(String(scalar.value, radix: 16))}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + (shown.endIndex < text.endIndex ? "…\"" : "\"")
}

extension Unicode.Scalar {
  /// True for what moves a cursor or begins a command of a terminal (C0, DEL, C1), ends a line (U+2028, U+2029), or turns
  /// the direction of the text around it (the class Bidi_Control of UAX 9, and the deprecated U+206A…206F).
  package var doesNotShow: Bool {
    switch value {
    case 0x20..<0x7F: false
    case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x206F: true
    default: false
    }
  }
}
