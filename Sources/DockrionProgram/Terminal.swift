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
      let isControl = scalar.properties.generalCategory == .control
      let isLine = scalar == "\n" || scalar == "\t"
      result.append(isControl && !(keepsLines && isLine) ? "\u{FFFD}" : scalar)
    }
    return String(result)
  }
}
