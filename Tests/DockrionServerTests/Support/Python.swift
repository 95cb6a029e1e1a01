import Foundation

/// Runs a program of `Tests/python` in its environment; what it prints and what it complains of together.
func runPython(_ arguments: String...) throws -> (code: Int32, output: String) {
  let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("python").path
  let python = directory + "/.venv/bin/python"
  guard FileManager.default.isExecutableFile(atPath: python) else {
    throw ClientError("no \(python); scripts/install-tools test makes it")
  }
  return try runProgram(python, [directory + "/" + arguments[0]] + arguments.dropFirst())
}
