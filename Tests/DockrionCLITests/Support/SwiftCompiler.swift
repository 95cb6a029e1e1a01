import Foundation

/// The compiler, on source files that use the modules that this build made: seconds, where a build takes minutes.
enum SwiftCompiler {
  /// Checks the files as one module's; returns what the compiler has against them.
  static func check(_ files: [String]) throws -> String {
    let products = URL(fileURLWithPath: try Command.executable()).deletingLastPathComponent()
    let checkouts =
      products.deletingLastPathComponent().deletingLastPathComponent().path + "/checkouts"
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().path
    let modules = ["CLibevent", "CHiredis", "CLinux", "CMimalloc"].flatMap {
      ["-I", root + "/Sources/" + $0]
    }
    return try run(
      [
        "-parse-as-library", "-swift-version", "6", "-warnings-as-errors", "-I",
        products.path + "/Modules",
      ]
        + ["-I", checkouts + "/Yams/Sources/CYaml/include"] + modules + files)
  }

  /// Checks a package's manifest.
  static func check(manifest: String) throws -> String {
    try run([
      "-I", try runtime() + "/pm/ManifestAPI", "-package-description-version", "6.2.0", manifest,
    ])
  }

  /// The toolchain's directory of libraries, `…/usr/lib/swift`.
  private static func runtime() throws -> String {
    let (_, out) = try launch(["-print-target-info"])
    let info = try JSONSerialization.jsonObject(with: Data(out.utf8)) as? [String: Any]
    let paths = info?["paths"] as? [String: Any]
    guard let path = paths?["runtimeResourcePath"] as? String else {
      throw TestFailure("the compiler does not say where its libraries are: \(out)")
    }
    return path
  }

  private static func run(_ arguments: [String]) throws -> String {
    let plugins = try runtime() + "/host/plugins/testing"
    let (code, out) = try launch(["-typecheck", "-plugin-path", plugins] + arguments)
    return code == 0 ? "" : out
  }

  private static func launch(_ arguments: [String]) throws -> (Int32, String) {
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = ["swiftc"] + arguments
    let output = Pipe()
    (compiler.standardError, compiler.standardOutput) = (output, output)
    try compiler.run()
    let said = try output.fileHandleForReading.readToEnd() ?? Data()
    compiler.waitUntilExit()
    return (compiler.terminationStatus, String(decoding: said, as: UTF8.self))
  }
}
