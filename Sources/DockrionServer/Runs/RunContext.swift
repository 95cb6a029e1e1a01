import DockrionCore
import DockrionLoop

/// What runs and their backends need of the server.
final class RunContext {
  /// What the Dockfile says of runs.
  struct Bounds {
    /// Events that a run keeps.
    let eventsMax: Int
    /// Bytes of all logs together.
    let logBytesMax: Int
    /// Seconds that a finished run is kept.
    let retentionSeconds: Int
    /// Seconds that a run may take.
    let runSeconds: Int

    init(_ dockfile: Dockfile) {
      eventsMax = dockfile.streaming.maxEventsPerRun
      logBytesMax = dockfile.streaming.maxLogBytes
      retentionSeconds = dockfile.streaming.retentionSeconds
      runSeconds = dockfile.streaming.maxRunSeconds
    }
  }

  let bounds: Bounds
  let board: AgentBoard
  let deadlines: Deadlines
  let metrics: Metrics
  let ids: RandomIDs

  init(_ bounds: Bounds, _ board: AgentBoard, _ deadlines: Deadlines, _ metrics: Metrics, _ ids: RandomIDs) {
    self.bounds = bounds
    self.board = board
    self.deadlines = deadlines
    self.metrics = metrics
    self.ids = ids
  }
}
