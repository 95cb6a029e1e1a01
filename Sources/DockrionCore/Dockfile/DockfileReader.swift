import Foundation

/// Reads the mapping at the top of a Dockfile into the model. Errors and warnings go to the collector; the
/// model that comes out is only good when there are no errors.
struct DockfileReader {
  /// Keys at the top of a file for the Python runtime that nothing here looks at.
  static let unusedKeys = ["policies", "observability", "build"]

  let issues: IssueCollector
  let top: ConfigSection

  init(_ root: ConfigNode, issues: IssueCollector) {
    self.issues = issues
    top = ConfigSection(
      root, field: "",
      known: [
        "version", "agent", "agents", "io_schema", "expose", "streaming", "runtime", "auth", "metadata",
        "arguments", "secrets",
      ],
      unused: Self.unusedKeys, issues: issues)
  }

  func read(into empty: Dockfile) -> Dockfile {
    var dockfile = empty
    if let version = top.given("version"), version.text != "1.0" {
      top.error("version", "\(version.shown) is not supported; the version is \"1.0\"")
    }
    dockfile.runtime = runtime()
    (dockfile.agents, dockfile.hasAgentList) = agents(dockfile.runtime.python)
    dockfile.places = places(of: dockfile.agents)
    (dockfile.inputSchema, dockfile.outputSchema) = schemas(in: top)
    dockfile.expose = expose()
    dockfile.streaming = streaming(runSeconds: runSeconds())
    dockfile.secrets = secrets()
    dockfile.auth = auth()
    dockfile.metadata = metadata(in: top)
    if !dockfile.expose.rest, !dockfile.expose.streaming, !dockfile.streaming.asyncRuns {
      issues.error(
        "expose", at: top["expose"]?.place,
        "nothing is served; turn on rest, streaming or streaming.async_runs")
    }
    return dockfile
  }

  /// Where the names stand that are looked up, and where the mode of `auth` or the variable with the keys stands.
  private func places(of agents: [Dockfile.Agent]) -> Dockfile.Places {
    func place(_ path: String...) -> ConfigPlace? {
      path.dropFirst().reduce(top[path[0]]) { node, key in node?.value(of: key) }?.place
    }
    let nodes: [ConfigNode?] =
      if case .sequence(let elements) = top["agents"]?.content { elements } else { [top["agent"]] }
    return Dockfile.Places(
      agents: zip(nodes, agents).map { node, agent in node?.value(of: agent.lookupKey)?.place },
      auth: place("auth", "api_keys", "env_var") ?? place("auth", "mode"))
  }

  func metadata(in section: ConfigSection) -> JSONObject {
    guard let metadata = section.given("metadata") else { return [:] }
    guard case .mapping = metadata.content else {
      section.error("metadata", "\(metadata.shown) stands where a mapping is needed")
      return [:]
    }
    return metadata.jsonObject(field: section.path("metadata"), issues: issues)
  }

  /// `io_schema` of the file or of an agent.
  func schemas(in owner: ConfigSection) -> (input: InputSchema?, output: JSONValue?) {
    let section = owner.section("io_schema", known: ["input", "output"], unused: ["strict"])
    let output = schema("output", in: section).map(JSONValue.object)
    guard let input = schema("input", in: section), let node = section["input"] else { return (nil, output) }
    do throws(InputSchemaError) {
      let schema = try InputSchema(input)
      for pointer in schema.unenforced {
        issues.warn(
          dotted(section.path("input"), pointer), at: node.nearest(pointer: pointer).place,
          "this keyword is not enforced")
      }
      return (schema, output)
    } catch {
      for issue in error.issues {
        issues.error(
          dotted(section.path("input"), issue.pointer), at: node.nearest(pointer: issue.pointer).place,
          issue.message)
      }
      return (nil, output)
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

  static let runtimeKeys = [
    "max_concurrent_runs", "max_connections", "worker_threads", "ring_capacity", "stall_timeout_seconds",
    "shutdown_grace_seconds", "max_body_bytes", "request_timeout_seconds", "keep_alive_seconds",
    "max_buffered_bytes", "max_payload_bytes", "expose_errors", "python",
  ]

  private func runtime() -> Dockfile.Runtime {
    let section = top.section("runtime", known: Self.runtimeKeys)
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
    runtime.python = python(in: section, over: runtime.python)
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
