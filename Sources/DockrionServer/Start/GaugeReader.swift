import DockrionCore
import DockrionLoop
import Synchronization

/// Reads what `/metrics` shows of the moment.
struct GaugeReader {
  private let board: AgentBoard
  private let book: StreamBook
  private let backend: any RunBackend
  // The listener keeps the routes, and these keep this.
  private unowned let listener: HTTPListener
  private let counters: WorkerCounters
  private let accessLog: AccessLog?
  private let limits: Metrics.Limits

  init(
    _ board: AgentBoard, _ book: StreamBook, _ backend: any RunBackend, _ listener: HTTPListener,
    _ counters: WorkerCounters, _ accessLog: AccessLog?, _ dockfile: Dockfile
  ) {
    self.board = board
    self.book = book
    self.backend = backend
    self.listener = listener
    self.counters = counters
    self.accessLog = accessLog
    limits = Metrics.Limits(
      runs: dockfile.runtime.maxConcurrentRuns, connections: listener.limits.maxConnections,
      logBytes: dockfile.streaming.maxLogBytes, payloadBytes: dockfile.runtime.maxPayloadBytes,
      descriptors: ProcessFacts.descriptorLimit())
  }

  func read() -> Metrics.Gauges {
    Metrics.Gauges(
      activeRuns: board.executing, directStreams: book.directStreams, subscriptions: book.subscriptions,
      ringFullWaits: counters.ringFullWaits.load(ordering: .relaxed), logBytes: backend.bytes,
      payloadBytes: board.payloadBytes, sentBytes: listener.sentBytes, connections: listener.connectionCount,
      bufferedBytes: listener.bufferedBytes, limits: limits, redis: backend.redisFigures,
      accessLogLost: accessLog?.lostLines)
  }
}
