import DockrionCore
import DockrionLoop
import Foundation
import Logging

/// Chooses what runs each of a Dockfile's agents, and has what they share.
struct AgentHosts {
  let workers: Workers
  let counters = WorkerCounters()
  private let swift: SwiftAgents.Shared

  init(_ dockfile: Dockfile, _ inbox: Inbox) {
    workers = Workers(cores: ProcessFacts.usableCores(), threads: dockfile.runtime.workerThreads)
    swift = SwiftAgents.Shared(
      inbox: inbox, workers: workers, counters: counters, ringCapacity: dockfile.runtime.ringCapacity,
      exposesErrors: dockfile.runtime.exposeErrors)
  }

  /// The agents, and the one whose routes have no prefix.
  ///
  /// - Parameter registered: the program's agents by name.
  /// - Throws: `ServerError` when the Dockfile names one that is not there, or Python for one of them is not.
  func served(
    _ dockfile: Dockfile, _ registered: [String: any Agent], _ loop: EventLoop, _ deadlines: Deadlines,
    _ logger: Logger
  ) throws(ServerError) -> (all: [ServedAgent], standard: ServedAgent) {
    var all: [ServedAgent] = []
    var packages: String?
    for configured in dockfile.agents {
      if configured.isPython {
        if packages == nil { packages = try PythonPackages.folder() }
        let settings = try PythonSettings(
          configured, dockfile, packages: packages ?? "", own: ProcessInfo.processInfo.environment)
        let pool = PythonPool(settings, loop, deadlines, logger, cores: ProcessFacts.usableCores())
        all.append(ServedAgent(configured, dockfile, index: all.count, own: nil, host: pool))
        continue
      }
      guard let agent = registered[configured.lookupName] else {
        throw ServerError(
          .unknownAgent, "\(dockfile.unregistered(configured, known: Array(registered.keys)))")
      }
      let description = Execution.Description(
        agentName: configured.name, framework: configured.framework)
      let host = SwiftAgents(agent, description, dockfile.filter(of: configured), swift)
      all.append(ServedAgent(configured, dockfile, index: all.count, own: agent.inputSchema, host: host))
    }
    return (all, all[dockfile.defaultAgentIndex])
  }
}
