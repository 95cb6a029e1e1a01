import Foundation

/// What may be done on an output: colours and moving lines are for people, never for pipes.
package struct Terminal {
  /// True where the descriptor is a terminal.
  package let isInteractive: Bool
  /// True on a terminal, unless `NO_COLOR` is set to something (https://no-color.org) or it is a dumb one.
  package let hasColor: Bool

  package static let output = Terminal(descriptor: STDOUT_FILENO)
  package static let errors = Terminal(descriptor: STDERR_FILENO)

  package init(
    descriptor: Int32, environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    isInteractive = isatty(descriptor) == 1 && environment["TERM"] != "dumb"
    hasColor = isInteractive && (environment["NO_COLOR"] ?? "").isEmpty
  }

  package enum Style: String {
    case bold = "1"
    case dim = "2"
    case red = "31"
    case green = "32"
    case yellow = "33"
  }

  package func styled(_ text: String, _ style: Style) -> String {
    hasColor ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// The text without control characters, so that what a server sends cannot steer a person's terminal.
  ///
  /// - Parameter keepsLines: leaves line ends and tabs in.
  package static func harmless(_ text: String, keepsLines: Bool = false) -> String {
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      let isLine = scalar == "\n" || scalar == "\t"
      result.append(scalar.steersTerminals && !(keepsLines && isLine) ? "\u{FFFD}" : scalar)
    }
    return String(result)
  }

  /// The JSON text with every such character escaped: the same value, for programs and for a terminal.
  static func harmless(json text: String) -> String {
    guard text.unicodeScalars.contains(where: { $0.steersTerminals }) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      // White space between JSON's tokens; inside a string it is escaped already.
      guard scalar.steersTerminals, scalar != "\n", scalar != "\t" else {
        result.append(scalar)
        continue
      }
      let digits = String(scalar.value, radix: 16)
      result.append(
        contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".unicodeScalars)
    }
    return String(result)
  }
}

extension Unicode.Scalar {
  /// True for what moves a cursor or begins a command of a terminal (C0, DEL, C1), ends a line (U+2028, U+2029), or
  /// turns the direction of what follows (U+202A…202E, U+2066…206F). The marks that only place one character
  /// (U+200E, U+200F, U+061C) belong to texts in Arabic and Hebrew.
  fileprivate var steersTerminals: Bool {
    switch value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x206F: true
    default: false
    }
  }
}
