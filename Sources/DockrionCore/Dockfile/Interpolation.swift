/// Puts environment variables into text.
///
/// `${NAME}` is the variable, `${NAME:-text}` the variable or, where it is unset or empty, the text;
/// `$${` is a literal `${`. A `$` without a brace is itself.
package struct Interpolation {
  let environment: [String: String]

  package struct Failure: Error, Equatable {
    package let message: String
  }

  package init(environment: [String: String]) { self.environment = environment }

  /// The text with every variable replaced. What a variable holds is not looked at again.
  package func expand(_ text: String) throws(Failure) -> String {
    guard text.utf8.contains(UInt8(ascii: "$")) else { return text }
    var result = String.UnicodeScalarView()
    // Scalars, not characters: a brace with a combining mark behind it is still a brace.
    var rest = text.unicodeScalars[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[dollar...]
      if rest.starts(with: "$${".unicodeScalars) {
        result += "${".unicodeScalars
        rest = rest.dropFirst(3)
      } else if rest.starts(with: "${".unicodeScalars) {
        let body = rest.dropFirst(2)
        guard let end = body.firstIndex(of: "}") else {
          throw Failure(
            message: "\(quoted(Substring(rest))) has no closing brace; write $${ for a literal ${")
        }
        result += try value(of: Substring(body[..<end])).unicodeScalars
        rest = body[body.index(after: end)...]
      } else {
        result.append("$")
        rest = rest.dropFirst()
      }
    }
    return String(result + rest)
  }

  private func value(of reference: Substring) throws(Failure) -> String {
    let name = reference.prefix { $0 != ":" && $0 != "-" && $0 != "?" && $0 != "+" && $0 != "=" }
    let tail = reference.dropFirst(name.count)
    guard isVariableName(name), tail.isEmpty || tail.hasPrefix(":-") else {
      throw Failure(
        message: "\(quoted("${" + reference + "}")) is not understood; use ${NAME} or ${NAME:-default}")
    }
    let held = environment[String(name)]
    if tail.isEmpty {
      guard let held else {
        throw Failure(
          message: "the environment variable \(name) is not set; set it or write ${\(name):-default}")
      }
      return held
    }
    let fallback = tail.dropFirst(2)
    guard !fallback.contains("${") else {
      throw Failure(message: "the default of ${\(name):-…} holds another ${; a default is plain text")
    }
    if let held, !held.isEmpty { return held }
    return String(fallback)
  }
}

/// True for `^[A-Za-z_][A-Za-z0-9_]*$`.
package func isVariableName(_ text: some StringProtocol) -> Bool {
  guard let first = text.utf8.first, !ASCII.isDigit(first) else { return false }
  return text.utf8.allSatisfy { byte in
    ASCII.isAlphanumeric(byte) || byte == UInt8(ascii: "_")
  }
}
