import Foundation

/// Runs a program of `Tests/python` in its environment; what it prints and what it complains of together.
func runPython(_ arguments: String...) throws -> (code: Int32, output: String) {
  try runProgram(pythonTool("python"), [pythonDirectory + "/" + arguments[0]] + arguments.dropFirst())
}

/// The path of a program of that environment.
func pythonTool(_ name: String) throws -> String {
  let path = pythonDirectory + "/.venv/bin/" + name
  guard FileManager.default.isExecutableFile(atPath: path) else {
    throw ClientError("no \(path); scripts/install-tools test makes it")
  }
  return path
}

private let pythonDirectory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("python").path
