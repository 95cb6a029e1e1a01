import DockrionCore

/// What READY says, of a zygote or of a worker.
struct PythonReady: Equatable {
  /// Of a zygote: whether the agent is imported there.
  var isPreloaded = true
  /// Why it is not.
  var left: [String] = []
  var python = ""
  /// Nil where the agent is not imported yet.
  var kind: String?
  var hasMemoryCheckpointer = false
  var warnings: [String] = []

  init(_ object: JSONObject) {
    isPreloaded = object["preloaded"]?.bool ?? true
    left = object["left"]?.array?.compactMap(\.string) ?? []
    python = object["python"]?.string ?? ""
    kind = object["kind"]?.string
    hasMemoryCheckpointer = object["in_memory_checkpointer"]?.bool ?? false
    warnings = object["warnings"]?.array?.compactMap(\.string) ?? []
  }
}

/// Why an agent could not be imported.
struct PythonImportFailure: Equatable {
  let text: String

  init(_ object: JSONObject) {
    var lines = [object["message"]?.string ?? "the agent could not be imported"]
    if let file = object["file"]?.string {
      lines[0] += " (\(file)\(object["line"]?.int.map { ":\($0)" } ?? ""))"
    }
    if let package = object["missing_package"]?.string {
      lines.append("the package \(package) is missing" + (object["install"]?.string.map { ": \($0)" } ?? ""))
    }
    lines += object["traceback"]?.array?.compactMap(\.string).map { "  " + $0 } ?? []
    text = lines.joined(separator: "\n")
  }
}

/// A packet of a zygote's.
enum PythonPacket: Equatable {
  case ready(PythonReady)
  case fatal(PythonImportFailure)
  case forked(worker: Int, pid: Int32)
  case notForked(worker: Int, error: String)
  case exited(worker: Int, status: Int32)

  init(_ bytes: UnsafeRawBufferPointer) throws(PythonFrameError) {
    let object: JSONObject
    do { object = try JSONObject(parsing: bytes) } catch {
      throw PythonFrameError("a packet that is no JSON object: \(error)")
    }
    let worker = object["worker"]?.int
    switch (object["type"]?.string, worker) {
    case ("ready", _): self = .ready(PythonReady(object))
    case ("fatal", _): self = .fatal(PythonImportFailure(object))
    case ("forked", let worker?):
      if let pid = object["pid"]?.int.flatMap(Int32.init(exactly:)) {
        self = .forked(worker: worker, pid: pid)
      } else {
        self = .notForked(worker: worker, error: object["error"]?.string ?? "the reason is not known")
      }
    case ("exited", let worker?):
      guard let status = object["status"]?.int.flatMap(Int32.init(exactly:)) else { fallthrough }
      self = .exited(worker: worker, status: status)
    default:
      throw PythonFrameError(
        "a packet that is not known: \(quoted(String(decoding: bytes.prefix(200), as: UTF8.self)))")
    }
  }
}
