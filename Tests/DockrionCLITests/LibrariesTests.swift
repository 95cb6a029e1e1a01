import Foundation
import Testing

/// What the program is linked to.
struct LibrariesTests {
  @Test func theClientIsLibcurlsAndNotFoundations() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/ldd")
    process.arguments = [try Command.executable()]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    let names = text.split(separator: "\n").compactMap { $0.split(whereSeparator: \.isWhitespace).first }
    #expect(names.contains("libcurl.so.4"), "\(text)")
    #expect(!names.contains { $0.hasPrefix("libFoundationNetworking") }, "\(text)")
  }
}
