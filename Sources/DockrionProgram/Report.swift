import Glibc

/// What a command says to a person.
package enum Report {
  /// One line, or several, on standard error.
  package static func error(_ text: String) {
    let bytes = Array((text + "\n").utf8)
    // Standard error that cannot be written has nowhere to say so.
    _ = write(STDERR_FILENO, bytes, bytes.count)
  }

  /// A hint that is not part of the command's result.
  package static func note(_ text: String) { error(text) }
}

/// The command's result, on standard output, unbuffered: who reads along sees each line at once.
package enum Output {
  package static func line(_ text: String) { self.text(text + "\n") }

  /// Writes all of it. Where standard output takes no more, the process ends with exit code 1: nobody is left
  /// to tell the result to.
  package static func text(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while let start = rest.baseAddress, !rest.isEmpty {
        let count = write(STDOUT_FILENO, start, rest.count)
        let code = count < 0 ? errno : 0
        if count >= 0 {
          rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        } else if code != EINTR && code != EAGAIN {
          Report.error(
            "\(Program.current.name): standard output cannot be written: \(String(cString: strerror(code)))")
          exit(Exit.failure)
        }
      }
    }
  }
}
