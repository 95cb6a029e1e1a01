import Foundation

/// The absolute path of a file of this project.
func projectFile(_ path: String) -> String {
  var root = URL(fileURLWithPath: #filePath)
  for _ in 0..<4 { root.deleteLastPathComponent() }
  return root.appendingPathComponent(path).path
}
