import DockrionCore
import DockrionLoop
import Logging

/// What agents have ended with, in the log and in the metrics.
final class AgentFailures {
  private let log: FailureLog
  private let metrics: Metrics
  private let deadlines: Deadlines

  init(_ log: FailureLog, _ metrics: Metrics, _ deadlines: Deadlines) {
    (self.log, self.metrics, self.deadlines) = (log, metrics, deadlines)
  }

  /// An agent has ended with an error.
  func ended(_ invocation: Invocation, _ error: AgentError) {
    let identity = invocation.encoder.identity
    let text = error.hidden ?? error.message
    let route = Self.route(of: identity, hasEvents: invocation.hasEvents)
    if invocation.sink == nil {
      log.failedLate(text, code: error.code, route: route, now: deadlines.now) { Self.metadata(identity) }
    } else {
      metrics.agentFailed(error.code, agent: invocation.agent.index)
      log.failed("the agent failed: \(text)", code: error.code, route: route, Self.metadata(identity))
    }
  }

  /// The server itself has ended an agent's run.
  func ended(_ identity: EventEncoder.Identity, of agent: ServedAgent, _ error: AgentError) {
    metrics.agentFailed(error.code, agent: agent.index)
    log.failed(
      error.message, code: error.code, route: Self.route(of: identity, hasEvents: true),
      Self.metadata(identity))
  }

  private static func route(of identity: EventEncoder.Identity, hasEvents: Bool) -> String {
    if identity.runID != nil { return "/runs" }
    return hasEvents ? "/invoke/stream" : "/invoke"
  }

  private static func metadata(_ identity: EventEncoder.Identity) -> Logger.Metadata {
    identity.runID == nil ? ["request_id": "\(identity.id)"] : ["run_id": "\(identity.id)"]
  }
}
