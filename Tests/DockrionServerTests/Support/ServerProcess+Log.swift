import Foundation

extension ServerProcess {
  /// The log's lines that are whole, of a server that was started with `--log-format json`.
  func logLines() throws -> [JSON] { try lines(of: errorOutput) }

  /// Waits for as many lines as `count` that `condition` takes, and returns all of them.
  func log(_ count: Int = 1, within seconds: Double = 5, _ condition: (JSON) -> Bool) throws -> [JSON] {
    var found: [JSON] = []
    let came = try eventually(within: seconds) {
      found = try logLines().filter(condition)
      return found.count >= count
    }
    guard came else { throw ClientError("\(found.count) of \(count) lines in \(errorOutput.suffix(3000))") }
    return found
  }
}

/// JSON lines; what stands behind the last line's end is left out.
func lines(of text: String) throws -> [JSON] {
  try text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { line in
    do { return try JSON(String(line)) } catch { throw ClientError("no JSON: \(line)") }
  }
}
