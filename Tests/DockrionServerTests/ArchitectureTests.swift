import Foundation
import Testing

/// The folders of `Sources`, and who may refer to whom: a folder to those above it in this list, never to one below.
///
/// What a folder needs of one that stands below it, it takes as a protocol or a closure.
@Suite struct ArchitectureTests {
  private static let order = [
    "DockrionCore", "DockrionCore/Text", "DockrionCore/JSON", "DockrionCore/Ring", "DockrionCore/Events",
    "DockrionCore/Schema",
    "DockrionCore/Dockfile", "DockrionCore/Agents", "DockrionCore/Runs",
    "DockrionLoop/Reactor", "DockrionLoop/Framing", "DockrionLoop/HTTP",
    "DockrionServer/Operations", "DockrionServer/Replies", "DockrionServer/Agents", "DockrionServer/Python",
    "DockrionServer/Runs",
    "DockrionServer/Redis", "DockrionServer/Access", "DockrionServer/Streams", "DockrionServer/Routes",
    "DockrionServer/Start", "DockrionServer", "DockrionProgram", "DockrionCLI", "SupportBotExample",
  ]
  /// Which targets may import a C module: one place each.
  private static let importers: [String: Set<String>] = [
    "CLibevent": ["DockrionLoop/Reactor", "DockrionLoop/HTTP", "DockrionServer/Redis"],
    "CHiredis": ["DockrionServer/Redis"], "CMimalloc": ["DockrionServer/Operations"],
    "CLinux": ["DockrionServer/Python"],
    "CCurl": ["DockrionCLI"],
  ]

  @Test func noFolderRefersToOneAboveIt() throws {
    let tree = try SourceTree(projectFile("Sources"))
    #expect(Set(tree.files.map(\.folder)) == Set(Self.order), "a folder has its place in the order")
    let upward = tree.references.filter { reference in
      (Self.order.firstIndex(of: reference.to) ?? 0) > (Self.order.firstIndex(of: reference.from) ?? 0)
    }
    #expect(upward.map(\.description) == [])
    #expect(tree.references.count > 300, "references are found at all")
  }

  @Test func cModulesAreImportedWhereTheyAreWrapped() throws {
    let tree = try SourceTree(projectFile("Sources"))
    for file in tree.files {
      for (module, folders) in Self.importers where file.text.contains("import \(module)\n") {
        #expect(folders.contains(file.folder), "\(file.name) imports \(module)")
      }
    }
  }

  @Test func anArrowUpwardIsFound() {
    let tree = SourceTree(files: [
      SourceTree.File(folder: "low", name: "A.swift", text: "struct Lamp { let bulb: Bulb }\n"),
      SourceTree.File(
        folder: "high", name: "B.swift", text: "struct Bulb {}\n/// Lamp\nlet text = \"Lamp\"\n"),
      SourceTree.File(
        folder: "high", name: "C.swift", text: "struct Cord { enum Lamp {}; let lamp: Lamp }\n"),
    ])
    #expect(tree.references.map(\.description) == ["low/A.swift → high (Bulb)"])
  }

  /// What is known of the composition: it stays small, and nobody below it knows the configuration file.
  @Test func theCompositionStaysSmallAndTheDockfileIsReadAtTheStart() throws {
    let tree = try SourceTree(projectFile("Sources"))
    let server = try #require(tree.files.first { $0.folder == "DockrionServer" && $0.name == "Server.swift" })
    #expect(server.text.split(separator: "\n", omittingEmptySubsequences: false).count <= 200)
    for file in tree.files where file.folder.hasPrefix("DockrionServer/") {
      #expect(!file.text.contains("let dockfile: Dockfile"), "\(file.name) keeps the Dockfile")
    }
  }
}

/// Swift files, and the types of other folders that each refers to.
struct SourceTree {
  struct File {
    /// Below `Sources`, two levels at most.
    let folder: String
    let name: String
    let text: String
  }

  struct Reference: CustomStringConvertible {
    let from: String
    let file: String
    let to: String
    let type: String
    var description: String { "\(from)/\(file) → \(to) (\(type))" }
  }

  let files: [File]

  init(files: [File]) { self.files = files }

  init(_ root: String) throws {
    let names = try FileManager.default.subpathsOfDirectory(atPath: root).filter { $0.hasSuffix(".swift") }
    files = try names.sorted().map { name in
      let parts = name.split(separator: "/").map(String.init)
      return File(
        folder: parts.dropLast().prefix(2).joined(separator: "/"), name: parts.last ?? "",
        text: try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8))
    }
  }

  private var declaration: Regex<(Substring, Substring, Substring)> {
    #/(?m)^( *)(?:(?:public|package|internal|fileprivate|private|final|open|indirect|nonisolated|@\w+(?:\([^)]*\))?) +)*(?:class|struct|enum|protocol|actor|typealias) +(\w+)/#
  }
  private var name: Regex<Substring> { #/\b[A-Z]\w+/# }

  /// Without comments and the texts of strings.
  private static func code(_ text: String) -> String {
    text.replacing(#/"""[\s\S]*?"""/#, with: "\"\"").replacing(#/"(?:\\.|[^"\\\n])*"/#, with: "\"\"")
      .replacing(#/[/]{2}[^\n]*/#, with: "")
  }

  /// Every type that a file names and a file of another folder declares at its top, once a file.
  var references: [Reference] {
    let texts = files.map { Self.code($0.text) }
    var owners: [String: String] = [:]
    // A nested type hides another folder's of the same name.
    var nested: [String: Set<String>] = [:]
    for (file, text) in zip(files, texts) {
      for match in text.matches(of: declaration) {
        let type = String(match.2)
        if match.1.isEmpty {
          owners[type] = owners[type] ?? file.folder
        } else {
          nested[file.folder, default: []].insert(type)
        }
      }
    }
    for (file, text) in zip(files, texts) {
      // Declared between braces on one line.
      for match in text.matches(of: #/[{;] *(?:enum|struct|class) +(\w+)/#) {
        nested[file.folder, default: []].insert(String(match.1))
      }
    }
    var found: [Reference] = []
    for (file, text) in zip(files, texts) {
      let names = Set(text.matches(of: name).map { String($0.0) })
      for type in names.sorted() {
        guard let owner = owners[type], owner != file.folder, nested[file.folder]?.contains(type) != true
        else { continue }
        found.append(Reference(from: file.folder, file: file.name, to: owner, type: type))
      }
    }
    return found
  }
}
