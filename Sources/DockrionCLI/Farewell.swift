import Dispatch
import DockrionCore
import DockrionProgram
import Glibc

/// What Ctrl-C says while a run is followed: that the run goes on, and how to come back to it.
final class Farewell {
  /// The id of the last event that was shown.
  private let last = Locked<String?>(nil)
  private let source: (any DispatchSourceSignal)?

  /// - Parameters:
  ///   - runID: the run that is followed.
  ///   - from: where the following began, for who leaves before the first event.
  ///   - url: what was given as `--url`; nil where the environment or the default is enough.
  ///   - agent: what was given as `--agent`.
  init(runID: String, from: Int?, url: String?, agent: String?) {
    let last = last
    source = Interrupt.source {
      let next = last.withLock { $0 }.flatMap { Int($0) }.map { $0 < .max ? $0 + 1 : $0 } ?? from
      let options =
        (url.map { " --url \($0)" } ?? "") + (agent.map { " --agent \($0)" } ?? "")
        + (next.map { " --from \($0)" } ?? "")
      // A terminal has shown ^C on the line.
      let start = Terminal.errors.isInteractive ? "\n" : ""
      Report.note("\(start)run \(runID) goes on; to come back: dockrion tail \(runID)\(options)")
      _exit(Exit.interrupted)
    }
  }

  deinit { source?.cancel() }

  /// Remembers what was shown last.
  func shown(_ id: String?) {
    if let id { last.withLock { $0 = id } }
  }
}
