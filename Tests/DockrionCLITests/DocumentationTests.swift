import DockrionCore
import Foundation
import Testing

/// What the documentation shows has to work.
struct DocumentationTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// The contents of a page's blocks in that language.
  private static func blocks(_ language: String, in page: String) throws -> [String] {
    let text = try String(contentsOfFile: root + "/" + page, encoding: .utf8)
    return text.components(separatedBy: "\n```\(language)\n").dropFirst().compactMap {
      $0.components(separatedBy: "\n```").first
    }
  }

  @Test(arguments: [("docs/agents.md", 4), ("README.md", 1)])
  func theAgentsCompile(page: String, count: Int) throws {
    let directory = try TemporaryDirectory()
    let blocks = try Self.blocks("swift", in: page).filter {
      !$0.contains("import PackageDescription")
    }
    #expect(blocks.count == count)
    var files: [String] = []
    for (index, block) in blocks.enumerated() {
      try directory.write(block + "\n", to: "\(index).swift")
      files.append(directory.path + "/\(index).swift")
    }
    let said = try SwiftCompiler.check(files)
    #expect(said.isEmpty, "\(said)")
  }

  @Test func theManifestCompiles() throws {
    let directory = try TemporaryDirectory()
    let manifests = try Self.blocks("swift", in: "docs/agents.md").filter {
      $0.contains("PackageDescription")
    }
    try directory.write(try #require(manifests.first) + "\n", to: "Package.swift")
    #expect(manifests.count == 1)
    let said = try SwiftCompiler.check(manifest: directory.path + "/Package.swift")
    #expect(said.isEmpty, "\(said)")
  }

  @Test func theDockfileIsValid() throws {
    for block in try Self.blocks("yaml", in: "docs/agents.md") {
      #expect(throws: Never.self) { try Dockfile.parse(block, environment: [:]) }
    }
  }
}
