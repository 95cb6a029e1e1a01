import DockrionCore

/// The start and the end of what runs the agents.
extension AgentBoard {
  /// - Throws: `ServerError` when a host cannot start anything.
  func beginHosts() throws(ServerError) {
    for agent in agents { try agent.host.begin() }
  }

  /// True while a host does not know yet whether it can run agents.
  var isStarting: Bool { startProblem == nil && agents.contains { $0.host.isStarting } }

  /// Why an agent will never run, in the words of its host.
  var startProblem: String? {
    agents.lazy.compactMap { agent in agent.host.startProblem.map { "the agent \(agent.name): \($0)" } }.first
  }

  /// Ends the hosts: those that have something to end get a few seconds.
  ///
  /// - Parameter turn: turns the loop once, and waits a second at most.
  func closeHosts(_ turn: () -> Void) {
    for agent in agents { agent.host.close() }
    let end = Clock.monotonicNanoseconds() + Limits.pythonExitSeconds * Clock.second
    while agents.contains(where: { !$0.host.isClosed }), Clock.monotonicNanoseconds() < end { turn() }
    for agent in agents { agent.host.kill() }
  }
}
