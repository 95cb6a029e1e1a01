import Foundation

/// The Swift package that `init --swift-package` writes: a server with one agent of its own.
struct SwiftPackageTemplate {
  /// Where the published package lives.
  static let packageURL = "https://github.com/dockrion/dockrion-swift.git"

  private let name: String
  private let handler: String
  private let dockfile: String
  private let dockrionPath: String?

  /// - Parameter dockrionPath: the directory of a dockrion package to depend on, instead of the published one.
  init(_ template: DockfileTemplate, dockfile: String, dockrionPath: String?) {
    name = template.name
    handler = template.handler ?? template.name
    self.dockfile = (dockfile as NSString).lastPathComponent
    self.dockrionPath = dockrionPath
  }

  /// The name of the package's program, which is also its module's: nothing that a module may not be called.
  static func executable(_ agent: String) -> String {
    let words = agent.replacingOccurrences(of: ".", with: "-")
    let taken: Set<String> = [
      "main", "swift", "foundation", "dockrion", "dockrioncore", "dockrionserver", "clibevent", "logging",
      "yams", "cyaml",
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
    let dependency: String
    let package: String
    if let dockrionPath {
      dependency = ".package(name: \"dockrion\", path: \(Self.literal(dockrionPath)))"
      package = "dockrion"
    } else {
      dependency = ".package(url: \"\(Self.packageURL)\", from: \"0.1.0\")"
      package = "dockrion-swift"
    }
    let target = Self.executable(name)
    return """
      // swift-tools-version: 6.2
      import PackageDescription

      let package = Package(
        name: "\(target)",
        dependencies: [
          \(dependency)
        ],
        targets: [
          .executableTarget(
            name: "\(target)",
            dependencies: [
              .product(name: "DockrionCore", package: "\(package)"),
              .product(name: "DockrionServer", package: "\(package)"),
            ])
        ]
      )

      """
  }

  private var source: String {
    let type = Self.typeName(name)
    return """
      import DockrionCore
      import DockrionServer
      import Foundation

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
          do {
            let dockfile = CommandLine.arguments.dropFirst().first ?? "\(dockfile)"
            try Dockrion.serve(dockfile: dockfile, agents: [\(Self.literal(handler)): \(type)()])
          } catch {
            FileHandle.standardError.write(Data("\(Self.executable(name)): \\(error)\\n".utf8))
            exit(1)
          }
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
