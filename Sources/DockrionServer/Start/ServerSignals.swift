import DockrionLoop
import Glibc
import Logging

/// What signals do to a server, as long as it holds on to this.
final class ServerSignals {
  private let numbers: [Int32]
  private let loop: EventLoop
  private let accessLog: AccessLog?
  private let logger: Logger
  private let stop: () -> Void
  private var hasBeenSignalled = false

  /// Handles these signals, and SIGUSR1 for the access log unless it is one of them; nil when there are none.
  ///
  /// - Parameter stop: called for the first of them; the second ends the process.
  /// - Throws: `ServerError` when another server of the process handles signals.
  init?(
    _ numbers: [Int32], _ loop: EventLoop, _ accessLog: AccessLog?, _ logger: Logger,
    stop: @escaping () -> Void
  ) throws(ServerError) {
    guard !numbers.isEmpty else { return nil }
    try SignalOwner.take()
    self.numbers = numbers
    self.loop = loop
    self.accessLog = accessLog
    self.logger = logger
    self.stop = stop
    let all = numbers.contains(SIGUSR1) ? numbers : numbers + [SIGUSR1]
    loop.handleSignals(all) { [unowned self] in came($0) }
  }

  private func came(_ number: Int32) {
    guard numbers.contains(number) else {
      if accessLog == nil { logger.notice("SIGUSR1: there is no access log to reopen (--access-log)") }
      accessLog?.reopen()
      return
    }
    if hasBeenSignalled {
      logger.notice("second signal, ending at once")
      _exit(128 + number)
    }
    hasBeenSignalled = true
    stop()
  }

  deinit {
    loop.releaseSignals()
    SignalOwner.release()
  }
}
