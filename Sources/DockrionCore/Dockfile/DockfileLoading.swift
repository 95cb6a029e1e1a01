import Foundation

extension Dockfile {
  /// Reads the file at that path.
  ///
  /// - Parameter environment: where `${NAME}` is looked up.
  /// - Throws: `DockfileError` with everything that is wrong with the file.
  public static func load(
    path: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(DockfileError) -> Dockfile {
    try parse(try text(path: path), path: path, environment: environment)
  }

  /// Reads the text of a file.
  ///
  /// - Parameters:
  ///   - path: the name to show in messages.
  ///   - environment: where `${NAME}` is looked up.
  /// - Throws: `DockfileError` with everything that is wrong with the text.
  public static func parse(
    _ text: String, path: String = "Dockfile.yaml",
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(DockfileError) -> Dockfile {
    let issues = IssueCollector(path: path)
    var composer = ConfigComposer(
      issues: issues, environment: environment, ignoredKeys: Set(DockfileReader.unusedKeys))
    let root = composer.compose(text)
    var dockfile = Dockfile(path: path, agent: Agent(name: ""))
    if let root { dockfile = DockfileReader(root, issues: issues).read(into: dockfile) }
    let warnings = IssueCollector.sorted(issues.warnings)
    guard issues.errors.isEmpty else {
      throw DockfileError(issues: IssueCollector.sorted(issues.errors), warnings: warnings)
    }
    dockfile.warnings = warnings
    return dockfile
  }

  /// The text of the file at that path, byte for byte.
  package static func text(path: String) throws(DockfileError) -> String {
    func failure(_ message: String, line: Int? = nil, column: Int? = nil) -> DockfileError {
      DockfileError(issues: [DockfileIssue(path: path, line: line, column: column, message: message)])
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      let code = errno
      throw failure(
        code == ENOENT
          ? "there is no such file" : "the file cannot be opened: \(String(cString: strerror(code)))")
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    // One byte beyond the bound tells a file that is too long, even one without an end such as /dev/zero.
    while bytes.count <= ConfigComposer.textBytesMax {
      var chunk = [UInt8](repeating: 0, count: 64 << 10)
      let count = read(descriptor, &chunk, chunk.count)
      if count == 0 { break }
      if count < 0 {
        let code = errno
        if code == EINTR { continue }
        throw failure(
          code == EISDIR
            ? "this is a directory; the path of a file is needed"
            : "the file cannot be read: \(String(cString: strerror(code)))")
      }
      bytes += chunk[..<count]
    }
    guard bytes.count <= ConfigComposer.textBytesMax else {
      throw failure("the file is longer than 1 MiB, which is more than a Dockfile may have")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let valid = validPrefix(of: bytes)
      let lineStart = (bytes[..<valid].lastIndex(of: 0x0A) ?? -1) + 1
      let line = bytes[..<valid].count { $0 == 0x0A } + 1
      let column = String(decoding: bytes[lineStart..<valid], as: UTF8.self).unicodeScalars.count + 1
      throw failure("this is not UTF-8 text", line: line, column: column)
    }
    return text
  }

  /// How many bytes stand before the first that is not UTF-8.
  private static func validPrefix(of bytes: [UInt8]) -> Int {
    var valid = 0
    var decoder = UTF8()
    var input = bytes.makeIterator()
    while case .scalarValue(let scalar) = decoder.decode(&input) { valid += UTF8.width(scalar) }
    return valid
  }
}
