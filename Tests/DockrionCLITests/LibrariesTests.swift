import Foundation
import Testing

/// What the program is linked to.
struct LibrariesTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  private static func output(_ program: String, _ arguments: String...) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    return text
  }

  /// The names of all libraries, those that libraries need too.
  private static func libraries() throws -> [String] {
    let text = try output("/usr/bin/ldd", try Command.executable())
    #expect(!text.contains("not found"), "\(text)")
    return text.split(separator: "\n").compactMap { line in
      line.contains("=>") ? line.split(whereSeparator: \.isWhitespace).first.map(String.init) : nil
    }
  }

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
  }

  /// What `docs/deployment.md` says that the program needs.
  private static func documented() throws -> Set<String> {
    let page = try text("docs/deployment.md")
    let sentence = try #require(page.firstMatch(of: /needs nothing of Swift, only ([^;]+);/))
    return Set(sentence.1.matches(of: /`([^`]+)`/).map { String($0.1) })
  }

  /// What the image installs for it.
  private static func inImage() throws -> Set<String> {
    let stage = try #require(try text("config/Dockerfile").split(separator: "\nFROM ").last)
    let list = try #require(stage.firstMatch(of: /--no-install-recommends ([^\\]+) \\/))
    return Set(list.1.split(separator: " ").map(String.init)).subtracting(["ca-certificates"])
  }

  /// Those packages and what they depend on.
  private static func closure(_ packages: Set<String>) throws -> Set<String> {
    let query = try output(
      "/usr/bin/dpkg-query", "-W", "-f", "${Package}|${Depends}, ${Pre-Depends}\\n")
    var needs: [String: [String]] = [:]
    for line in query.split(separator: "\n") {
      let parts = line.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
      needs[String(parts[0])] = parts[1].matches(of: /[a-z0-9][a-z0-9+.-]+(?= |,|:|$)/).map { String($0.0) }
    }
    var (found, open) = (packages, Array(packages))
    while let package = open.popLast() {
      for need in needs[package] ?? [] where found.insert(need).inserted { open.append(need) }
    }
    return found
  }

  private static func packages(holding library: String) throws -> Set<String> {
    let owners = try output("/usr/bin/dpkg-query", "-S", "*/\(library)")
    return Set(owners.split(separator: "\n").compactMap { $0.split(separator: ":").first.map(String.init) })
  }

  @Test func theClientIsLibcurlsAndNotFoundations() throws {
    let names = try Self.libraries()
    #expect(names.contains("libcurl.so.4"), "\(names)")
    #expect(!names.contains { $0.hasPrefix("libFoundationNetworking") }, "\(names)")
  }

  @Test func theLibrariesAreThoseThatTheDocsAndTheImageList() throws {
    let documented = try Self.documented()
    #expect(try Self.inImage() == documented)
    // Every Debian has these two.
    let covered = try Self.closure(documented.union(["libc6", "libgcc-s1"]))
    var used: Set<String> = []
    for library in try Self.libraries() {
      let owners = try Self.packages(holding: library)
      // Swift's own are in no package, and in the program of the image.
      guard !owners.isEmpty else { continue }
      used.formUnion(owners)
      #expect(!owners.isDisjoint(with: covered), "\(library) of \(owners) is in no list")
    }
    #expect(documented.subtracting(used) == [], "listed, and not needed")
    #expect(used.count > 4)
  }
}
