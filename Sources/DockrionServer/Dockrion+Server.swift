import Dispatch
import DockrionCore
import Foundation
import Glibc
import Logging

extension Dockrion {
  /// A server inside a program that does other things as well; any number may live in one process.
  ///
  ///     let server = Dockrion.Server(dockfile, agents: ["support-bot": SupportBot()])
  ///     let address = try server.start()      // serves on a thread of its own
  ///     …
  ///     server.stop()                         // from any thread: what runs gets its grace
  ///     try server.run()                      // returns when everything has ended
  ///
  /// What belongs to the process is left alone, but for this: SIGPIPE is ignored where nobody has handled it, the
  /// descriptor limit is raised to the hard one, and the thread that serves, with those that it begins, is
  /// scheduled as `SCHED_BATCH`. Signals are handled where that is asked for.
  public final class Server: Sendable {
    public typealias Address = ServerAddress

    private struct State {
      var hasBegun = false
      var address: Address?
      var failure: (any Error)?
    }

    private let dockfile: Dockfile
    private let agents: [String: any Agent]
    private let signals: [Int32]
    private let logger: Logger
    private let (stopRequest, reopenRequest) = (LoopRequest(), LoopRequest())
    private let state = Locked(State())
    private let ended = DispatchGroup()

    /// A server that has still to be started. It can be started once.
    ///
    /// - Parameters:
    ///   - agents: agents by name, besides the built-in `echo` and `scripted`; the Dockfile says which of them it serves.
    ///   - signals: what stops the server, such as `[SIGTERM, SIGINT]`; a second one ends the process. They are
    ///     the whole process's, so that one server of it may handle signals at a time.
    ///   - logger: where the server reports; standard error by default.
    public init(
      _ dockfile: Dockfile, agents: [String: any Agent] = [:], stopsOn signals: [Int32] = [],
      logger: Logger = Logger(label: "dockrion")
    ) {
      self.dockfile = dockfile
      self.agents = BuiltinAgents.all.merging(agents) { _, own in own }
      self.signals = signals
      self.logger = logger
    }

    /// Where clients reach it; nil before they can, and once it has ended.
    public var address: Address? { state.withLock { $0.address } }

    /// Serves on a thread of its own; returns when clients can connect.
    ///
    /// It serves until it is stopped, also when nobody holds on to it.
    ///
    /// - Throws: `ServerError`, or `DockfileError` when a value of the Dockfile is out of its range.
    @discardableResult
    public func start() throws -> Address {
      guard begin() else {
        throw ServerError(.startedBefore, "this server was started before; make another one")
      }
      let started = DispatchSemaphore(value: 0)
      // Not `address`, which is nil again when it is stopped at once.
      let place = Locked<Address?>(nil)
      do {
        try ServerThread.begin { [self] in
          serve { _, address in
            place.withLock { $0 = address }
            started.signal()
          }
          started.signal()
        }
        started.wait()
      } catch {
        end(error)
      }
      if let address = place.withLock({ $0 }) { return address }
      throw state.withLock { $0.failure } ?? ServerError(.startedBefore, "this server has ended")
    }

    /// Serves on the calling thread until it is stopped; or, where `start` has begun that, waits for the end.
    ///
    /// - Throws: what kept it from serving, as `start` does.
    public func run() throws { try run { _, _ in } }

    /// - Parameter whenServing: called once clients can connect.
    func run(whenServing: (DockrionServer.Server, Address) throws -> Void) throws {
      if begin() { serve(whenServing) } else { ended.wait() }
      if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    /// Asks it to stop, from any thread, and returns at once: it takes no more runs, and those that run have
    /// `runtime.shutdown_grace_seconds` to end. `run` returns after that.
    public func stop() { stopRequest.make() }

    /// Goes on with the access log, `Dockfile.Runtime.accessLog`, in a new file of its name, after the old one was moved
    /// away: what SIGUSR1 does where a server handles signals.
    ///
    ///     try FileManager.default.moveItem(atPath: path, toPath: path + ".1")
    ///     server.reopenAccessLog()
    ///
    /// From any thread; it returns at once. The lines of requests that had ended by then go to the old file. A file that
    /// cannot be opened is said in the log, and the old one goes on. Without an access log, and when the server has
    /// ended, it does nothing.
    public func reopenAccessLog() { reopenRequest.make() }

    private func begin() -> Bool {
      state.withLock { state in
        if state.hasBegun { return false }
        state.hasBegun = true
        ended.enter()
        return true
      }
    }

    private func end(_ failure: (any Error)?) {
      state.withLock { ($0.address, $0.failure) = (nil, failure) }
      ended.leave()
    }

    private func serve(_ whenServing: (DockrionServer.Server, Address) throws -> Void) {
      do {
        try ServerThread.withThroughput { try serveOrThrow(whenServing) }
        end(nil)
      } catch {
        end(error)
      }
    }

    private func serveOrThrow(_ whenServing: (DockrionServer.Server, Address) throws -> Void) throws {
      ServerThread.ignoreBrokenPipes()
      for warning in dockfile.warnings { logger.warning("\(warning)") }
      try dockfile.checkRanges()
      try dockfile.checkSecrets(in: ProcessInfo.processInfo.environment)
      let server = try DockrionServer.Server(dockfile, agents, logger)
      defer { server.closeHosts() }
      try server.handleSignals(signals)
      defer { server.releaseSignals() }
      server.heeds(stop: stopRequest, reopen: reopenRequest)
      try server.warmUp()
      let address = try server.listen()
      state.withLock { $0.address = address }
      try whenServing(server, address)
      server.run()
      logger.notice("stopped")
    }
  }
}
