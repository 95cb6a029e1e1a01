import DockrionCore

/// What the server offers, as its own documents describe it.
struct ServedAPI {
  let agents: [ServedAgent]
  /// Whose routes have no prefix.
  let standard: ServedAgent
  /// True when the Dockfile has a list of agents: each has its routes below `/agents/{name}`.
  let hasPrefixes: Bool
  let auth: Dockfile.Auth
  let port: Int
  let hasRest: Bool
  let hasStreaming: Bool
  let hasRuns: Bool
  let isRedis: Bool
  let hasAllowedHosts: Bool
  let allowsClientIDs: Bool

  init(_ dockfile: Dockfile, _ agents: [ServedAgent], standard: ServedAgent) {
    self.agents = agents
    self.standard = standard
    hasPrefixes = dockfile.hasAgentList
    auth = dockfile.auth
    port = dockfile.expose.port
    hasRest = dockfile.expose.rest
    hasStreaming = dockfile.expose.streaming
    hasRuns = dockfile.streaming.asyncRuns
    isRedis = dockfile.streaming.redis != nil
    hasAllowedHosts = !dockfile.expose.allowedHosts.isEmpty
    allowsClientIDs = dockfile.streaming.allowClientIDs
  }
}
