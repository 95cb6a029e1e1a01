import ArgumentParser
import DockrionCore
import Foundation

/// Where a payload comes from: `-p JSON` or `-f FILE`.
package struct PayloadOptions: ParsableArguments {
  @Option(name: .shortAndLong, help: "The payload, a JSON object. (default: {})")
  var payload: String?

  @Option(name: .shortAndLong, help: "A file with the payload; - is standard input.", completion: .file())
  var file: String?

  package init() {}

  package func validate() throws {
    if payload != nil, file != nil {
      throw ValidationError("--payload and --file: one of them is enough, since both give the payload")
    }
  }

  /// The payload and where it came from, for messages.
  package func read() throws -> (object: JSONObject, text: String) {
    let (text, source) = try text()
    do { return (try JSONObject(parsing: text), text) } catch {
      throw CommandError("\(source): this is no JSON object: \(error)")
    }
  }

  private func text() throws -> (String, String) {
    guard let file else { return (payload ?? "{}", "--payload") }
    let data: Data
    do {
      data =
        file == "-"
        ? try FileHandle.standardInput.readToEnd() ?? Data()
        : try Data(contentsOf: URL(fileURLWithPath: file))
    } catch {
      throw CommandError("\(file): the payload cannot be read: \(error.localizedDescription)")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw CommandError("\(file): the payload is not UTF-8 text")
    }
    return (text, file == "-" ? "standard input" : file)
  }
}
