import Foundation

/// Reads the mapping at the top of a Dockfile into the model. Errors and warnings go to the collector; the
/// model that comes out is only good when there are no errors.
struct DockfileReader {
  /// Keys at the top of a file for the Python runtime that nothing here looks at.
  static let unusedKeys = ["arguments", "policies", "observability", "secrets", "build"]

  let issues: IssueCollector
  let top: ConfigSection

  init(_ root: ConfigNode, issues: IssueCollector) {
    self.issues = issues
    top = ConfigSection(
      root, field: "",
      known: ["version", "agent", "io_schema", "expose", "streaming", "runtime", "auth", "metadata"],
      unused: Self.unusedKeys, issues: issues)
  }

  func read(into empty: Dockfile) -> Dockfile {
    var dockfile = empty
    if let version = top.given("version"), version.text != "1.0" {
      top.error("version", "\(version.shown) is not supported; the version is \"1.0\"")
    }
    dockfile.agent = agent()
    dockfile.places = places(of: dockfile.agent)
    readSchemas(into: &dockfile)
    dockfile.expose = expose()
    dockfile.streaming = streaming()
    dockfile.runtime = runtime()
    dockfile.auth = auth()
    if let metadata = top.given("metadata") {
      if case .mapping = metadata.content {
        dockfile.metadata = metadata.jsonObject(field: "metadata", issues: issues)
      } else {
        top.error("metadata", "\(metadata.shown) stands where a mapping is needed")
      }
    }
    if !dockfile.expose.rest, !dockfile.expose.streaming, !dockfile.streaming.asyncRuns {
      issues.error(
        "expose", at: top["expose"]?.place,
        "nothing is served; turn on rest, streaming or streaming.async_runs")
    }
    return dockfile
  }

  private func agent() -> Dockfile.Agent {
    let section = top.section("agent", known: ["name", "description", "handler", "entrypoint", "framework"])
    var agent = Dockfile.Agent(name: "")
    if let name = section.text("name") {
      agent.name = name
      if !Self.isAgentName(name) {
        section.error(
          "name",
          "\(quoted(name)) is not a name; use 1 to 128 letters, digits, \"_\", \".\" and \"-\", "
            + "a letter or digit first")
      }
    } else if top["agent"].map(\.isMappingOrNull) ?? true, section["name"].map(\.isNull) ?? true {
      issues.error("agent.name", at: section["name"]?.place ?? section.place, "the agent's name is missing")
    }
    agent.description = section.text("description")
    agent.handler = section.word("handler")
    agent.entrypoint = section.word("entrypoint")
    if let framework = section.word("framework") { agent.framework = framework }
    return agent
  }

  /// Where the name stands that is looked up, and where the mode of `auth` or the variable with the keys does.
  private func places(of agent: Dockfile.Agent) -> Dockfile.Places {
    func place(_ path: String...) -> ConfigPlace? {
      path.dropFirst().reduce(top[path[0]]) { node, key in
        guard case .mapping(let entries) = node?.content else { return nil }
        return entries.first { $0.key == key }?.value
      }?.place
    }
    return Dockfile.Places(
      agent: place("agent", agent.lookupKey),
      auth: place("auth", "api_keys", "env_var") ?? place("auth", "mode"))
  }

  private static func isAgentName(_ name: String) -> Bool {
    func isLetterOrDigit(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
    guard let first = name.utf8.first, isLetterOrDigit(first), name.utf8.count <= 128 else { return false }
    return name.utf8.allSatisfy { isLetterOrDigit($0) || "_.-".utf8.contains($0) }
  }

  private func readSchemas(into dockfile: inout Dockfile) {
    let section = top.section("io_schema", known: ["input", "output"], unused: ["strict"])
    if let output = schema("output", in: section) { dockfile.outputSchema = .object(output) }
    guard let input = schema("input", in: section), let node = section["input"] else { return }
    do throws(InputSchemaError) {
      let schema = try InputSchema(input)
      for pointer in schema.unenforced {
        section.issues.warn(
          dotted("io_schema.input", pointer), at: node.nearest(pointer: pointer).place,
          "this keyword is not enforced")
      }
      dockfile.inputSchema = schema
    } catch {
      for issue in error.issues {
        section.issues.error(
          dotted("io_schema.input", issue.pointer), at: node.nearest(pointer: issue.pointer).place,
          issue.message)
      }
    }
  }

  private func schema(_ key: String, in section: ConfigSection) -> JSONObject? {
    guard let node = section.given(key) else { return nil }
    guard case .mapping = node.content else {
      section.error(key, "\(node.shown) stands where a JSON Schema is needed, a mapping")
      return nil
    }
    let before = issues.errors.count
    let object = node.jsonObject(field: section.path(key), issues: issues)
    return issues.errors.count == before && !node.holdsBroken ? object : nil
  }

  private func runtime() -> Dockfile.Runtime {
    let section = top.section(
      "runtime",
      known: [
        "max_concurrent_runs", "max_connections", "worker_threads", "ring_capacity", "stall_timeout_seconds",
        "shutdown_grace_seconds", "max_body_bytes", "request_timeout_seconds", "keep_alive_seconds",
        "max_buffered_bytes", "max_payload_bytes", "expose_errors",
      ])
    var runtime = Dockfile.Runtime()
    func read(_ key: String, _ range: ClosedRange<Int>, _ value: inout Int) {
      value =
        key.hasSuffix("_seconds")
        ? section.seconds(key, range, default: value) : section.int(key, range, default: value)
    }
    read("max_concurrent_runs", 1...1_000_000, &runtime.maxConcurrentRuns)
    read("max_connections", 1...1_000_000, &runtime.maxConnections)
    read("worker_threads", 1...240, &runtime.workerThreads)
    if runtime.workerThreads > Limits.workerThreadsMax {
      section.warn(
        "worker_threads",
        "\(runtime.workerThreads): asynchronous agents and those that block get \(Limits.workerThreadsMax) each, "
          + "since a process can have 255 such threads")
    }
    read("ring_capacity", 2...65_536, &runtime.ringCapacity)
    read("stall_timeout_seconds", 1...3600, &runtime.stallTimeoutSeconds)
    read("shutdown_grace_seconds", 0...3600, &runtime.shutdownGraceSeconds)
    read("request_timeout_seconds", 1...3600, &runtime.requestTimeoutSeconds)
    read("keep_alive_seconds", 1...3600, &runtime.keepAliveSeconds)
    runtime.maxBodyBytes = section.bytes("max_body_bytes", 1...(1 << 30), default: runtime.maxBodyBytes)
    runtime.maxBufferedBytes = section.bytes(
      "max_buffered_bytes", (32 << 20)...(1 << 40), default: runtime.maxBufferedBytes)
    runtime.exposeErrors = section.bool("expose_errors", default: runtime.exposeErrors)
    runtime.maxPayloadBytes = section.bytes(
      "max_payload_bytes", (1 << 20)...(1 << 40), default: runtime.maxPayloadBytes)
    while runtime.ringCapacity & (runtime.ringCapacity - 1) != 0 {
      runtime.ringCapacity += runtime.ringCapacity & -runtime.ringCapacity
    }
    return runtime
  }
}

/// The dotted path of what an RFC 6901 pointer below `field` points at.
private func dotted(_ field: String, _ pointer: String) -> String {
  pointer.split(separator: "/", omittingEmptySubsequences: false).dropFirst().reduce(field) { field, part in
    joined(field, unescapedFromPointer(part))
  }
}

extension ConfigNode {
  fileprivate var isMappingOrNull: Bool {
    switch content {
    case .mapping, .null: true
    default: false
    }
  }

  /// True when some value inside could not be read.
  fileprivate var holdsBroken: Bool {
    switch content {
    case .broken: true
    case .null, .scalar: false
    case .sequence(let elements): elements.contains(where: \.holdsBroken)
    case .mapping(let entries): entries.contains(where: \.value.holdsBroken)
    }
  }
}
