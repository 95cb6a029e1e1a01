import Glibc

/// What a command says to a person.
enum Report {
  /// One line, or several, on standard error.
  static func error(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    // Standard error that cannot be written has nowhere to say so.
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }
}
