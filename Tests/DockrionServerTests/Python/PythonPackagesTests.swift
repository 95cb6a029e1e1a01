import Foundation
import Testing

@testable import DockrionServer

/// The packages that the program carries.
@Suite struct PythonPackagesTests {
  @Test func theyAreThoseOfTheFolder() throws {
    let root = projectFile("python")
    let names = ["dockrion_events", "dockrion_worker"].flatMap { package in
      (FileManager.default.subpaths(atPath: "\(root)/\(package)") ?? []).map { "\(package)/\($0)" }
    }.filter { ($0.hasSuffix(".py") || $0.hasSuffix("/py.typed")) }
    let embedded = PythonPackages.contents
    #expect(Set(embedded.map(\.path)) == Set(names), "run scripts/embed-python")
    for file in embedded {
      let there = FileManager.default.contents(atPath: "\(root)/\(file.path)")
      #expect(there == file.bytes, "\(file.path): run scripts/embed-python")
    }
    #expect(embedded.count > 20)
  }

  @Test func theyAreUnpackedOnceAndMadeAnewWhereTheyAreNotWhole() throws {
    let base = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: base) }
    let environment = ["XDG_CACHE_HOME": base]
    let folder = try PythonPackages.folder(environment)
    #expect(folder.hasPrefix("\(base)/dockrion/python-"))
    let mode = try FileManager.default.attributesOfItem(atPath: folder)[.posixPermissions] as? Int
    #expect(mode == 0o700)
    let file = "\(folder)/dockrion_worker/worker.py"
    let made = try #require(FileManager.default.contents(atPath: file))
    try Data("changed".utf8).write(to: URL(fileURLWithPath: file))
    #expect(try PythonPackages.folder(environment) == folder)
    #expect(FileManager.default.contents(atPath: file) == made)
    try FileManager.default.removeItem(atPath: file)
    #expect(try PythonPackages.folder(environment) == folder)
    #expect(FileManager.default.contents(atPath: file) == made)
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(base)/dockrion").count == 1)
  }

  @Test func aFolderThatOthersCanWriteToIsNotUsed() throws {
    let base = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: base) }
    for folder in ["cache", "cache/dockrion", "tmp"] {
      try FileManager.default.createDirectory(atPath: "\(base)/\(folder)", withIntermediateDirectories: true)
    }
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o777], ofItemAtPath: "\(base)/cache/dockrion")
    let folder = try PythonPackages.folder(["XDG_CACHE_HOME": "\(base)/cache", "TMPDIR": "\(base)/tmp"])
    #expect(folder.hasPrefix("\(base)/tmp/dockrion-"))
  }
}
