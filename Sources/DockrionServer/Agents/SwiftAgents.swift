import DockrionCore

/// Agents in Swift, on the worker pool of this process.
final class SwiftAgents: AgentHost {
  /// What all of a server's Swift agents share.
  struct Shared {
    let inbox: Inbox
    let workers: Workers
    let counters: WorkerCounters
    /// Events of one agent that may wait for the loop.
    let ringCapacity: Int
    /// Whether clients get the text of errors that are no `AgentError`.
    let exposesErrors: Bool
  }

  /// Made before the environments, which name it, and so before the host itself.
  private final class Readiness {
    var tell: (_ ticket: Int) -> Void = { _ in }
  }

  private let agent: any Agent
  private let withEvents: Execution.Environment
  private let withoutEvents: Execution.Environment
  private let ready: Readiness

  var onReady: (_ ticket: Int) -> Void {
    get { ready.tell }
    set { ready.tell = newValue }
  }

  init(_ agent: any Agent, _ description: Execution.Description, _ filter: EventsFilter, _ shared: Shared) {
    self.agent = agent
    let ready = Readiness()
    self.ready = ready
    let handler = LoopHandler<Execution> { ready.tell($0.slot) }
    let environment = { hasEvents in
      Execution.Environment(
        description, Execution.Outlet(filter: filter, hasEvents: hasEvents),
        ringCapacity: shared.ringCapacity, inbox: shared.inbox, onReady: handler, workers: shared.workers,
        counters: shared.counters, exposesErrors: shared.exposesErrors)
    }
    (withEvents, withoutEvents) = (environment(true), environment(false))
  }

  var outage: String? { nil }
  var hasRoom: Bool { true }

  func start(_ job: AgentJob) -> any EventSource {
    let environment = job.hasEvents ? withEvents : withoutEvents
    let execution = Execution(slot: job.ticket, encoder: job.encoder, environment)
    execution.start(agent, input: job.input)
    return execution
  }
}

extension Execution: EventSource {}
