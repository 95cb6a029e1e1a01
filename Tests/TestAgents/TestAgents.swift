import DockrionCore
import DockrionServer
import Synchronization

/// Says in its output how often its schema has been asked for.
final class AskedAgent: Agent {
  private let asked = Atomic<Int>(0)

  var inputSchema: InputSchema? {
    asked.add(1, ordering: .relaxed)
    return try? InputSchema(["properties": ["text": ["type": "string"]], "required": ["text"]])
  }

  func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    ["asked": .int(Int64(asked.load(ordering: .relaxed)))]
  }
}

/// A server with agents of its own, for tests: `test-agents run DOCKFILE` on a free port of the loopback.
@main struct TestAgents {
  static func main() throws {
    var dockfile = try Dockfile.load(path: CommandLine.arguments[2])
    dockfile.expose.host = "127.0.0.1"
    dockfile.expose.port = 0
    try Dockrion.serve(dockfile, agents: ["asked": AskedAgent()])
  }
}
