import DockrionServer
import Foundation

/// The Swift package that `init --swift-package` writes: a server with one agent of its own.
struct SwiftPackageTemplate {
  /// Where the package gets dockrion from.
  enum Dependency {
    /// A directory with the package, absolute or as seen from the new package.
    case path(String)
    /// A repository that has this version as a tag.
    case url(String)
  }

  /// The checkout from which this program was built, where it is still there.
  static var ownCheckout: String? {
    let sources = (#filePath as NSString).deletingLastPathComponent as NSString
    let root = (sources.deletingLastPathComponent as NSString).deletingLastPathComponent
    return isPackage(root) ? root : nil
  }

  /// True where a directory has a package in it.
  static func isPackage(_ directory: String) -> Bool {
    access(directory + "/Package.swift", R_OK) == 0
  }

  private let name: String
  private let handler: String
  private let dockfile: String
  private let dependency: Dependency

  init(_ template: DockfileTemplate, dockfile: String, dependency: Dependency) {
    name = template.name
    handler = template.handler ?? template.name
    self.dockfile = (dockfile as NSString).lastPathComponent
    self.dependency = dependency
  }

  /// The name of the package's program, which is also its module's: nothing that a module may not be called.
  static func executable(_ agent: String) -> String {
    let words = agent.replacingOccurrences(of: ".", with: "-")
    let taken: Set<String> = [
      "main", "swift", "foundation", "dockrion", "dockrioncore", "dockrionserver",
      "dockrionprogram", "dockrioncli",
      "clibevent", "chiredis", "cmimalloc", "logging", "yams", "cyaml", "argumentparser",
    ]
    return words.first?.isLetter ?? false && !taken.contains(words.lowercased()) ? words : "agent-\(words)"
  }

  /// The type's name: `my-agent` is `MyAgent`, `bot` is `BotAgent`, so that it hides no type that it uses.
  static func typeName(_ agent: String) -> String {
    let words = executable(agent).split { !$0.isLetter && !$0.isNumber }
    let joined = words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    return joined.hasSuffix("Agent") && joined != "Agent" ? joined : joined + "Agent"
  }

  func files(in directory: String) -> [NewFile] {
    func path(_ name: String) -> String { directory.isEmpty ? name : directory + "/" + name }
    let target = Self.executable(name)
    return [
      NewFile(path: path("Package.swift"), text: manifest),
      NewFile(path: path("Sources/\(target)/\(Self.typeName(name)).swift"), text: source),
    ]
  }

  private var manifest: String {
    let line: String
    let package: String
    switch dependency {
    case .path(let path):
      line = ".package(name: \"dockrion\", path: \(Self.literal(path)))"
      package = "dockrion"
    case .url(let url):
      line = ".package(url: \(Self.literal(url)), from: \"\(Dockrion.version)\")"
      // SwiftPM knows a package by the last part of its URL.
      let last = (url.split { $0 == "/" || $0 == ":" }.last).map(String.init) ?? "dockrion"
      package = last.hasSuffix(".git") ? String(last.dropLast(4)) : last
    }
    let target = Self.executable(name)
    return """
      // swift-tools-version: 6.2
      import PackageDescription

      let package = Package(
        name: "\(target)",
        dependencies: [
          \(line)
        ],
        targets: [
          .executableTarget(
            name: "\(target)",
            dependencies: [
              .product(name: "DockrionProgram", package: \(Self.literal(package)))
            ])
        ]
      )

      """
  }

  private var source: String {
    let type = Self.typeName(name)
    let file = dockfile == "Dockfile.yaml" ? "" : ", dockfile: \(Self.literal(dockfile))"
    return """
      import DockrionProgram

      /// Greets. Put your own work here: what `run` emits, clients see while it runs.
      struct \(type): Agent {
        func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
          let text = input["text"]?.string ?? "world"
          try await context.emitStep("greet", inputKeys: ["text"])
          for word in ["Hello, ", text, "!"] { try await context.emitToken(word) }
          return ["greeting": .string("Hello, \\(text)!")]
        }
      }

      @main
      struct Main {
        static func main() {
          Dockrion.main(agents: [\(Self.literal(handler)): \(type)()]\(file))
        }
      }

      """
  }

  /// The text as a Swift string literal.
  private static func literal(_ text: String) -> String {
    "\"" + text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
      + "\""
  }
}
