import DockrionCore
import Glibc

/// Where a worker stands, and what is to be done about what happens to it.
struct PythonWorkerLife: Equatable {
  enum State: Equatable {
    case starting
    case up
    /// It takes no runs and ends after its last.
    case leaving
    /// These runs were cancelled and go on. It takes no others, and is killed when it has none but these.
    case suspect(stuck: Set<UInt32>)
    /// Its end has begun.
    case ending(Cause)
    case dead(Cause)
  }

  /// Why it ends.
  enum Cause: Equatable {
    case endOfFile
    case badFrame(String)
    case startTimeout
    case failedImport
    case memory
    case stuck
    /// The server stops.
    case stopped
  }

  enum Happening: Equatable {
    case ready
    case failedImport
    case badFrame(String)
    /// Its socket has ended.
    case endOfFile
    /// The zygote has said how it ended.
    case exited(status: Int32)
    /// What was waited for has not come.
    case waitedLongEnough
    case startTimeout
    /// It shall take no more runs.
    case leave
    /// A cancelled run should have ended.
    case overdue(run: UInt32)
    /// A run has ended; so many go on.
    case ended(run: UInt32, left: Int)
    /// It must go now.
    case kill(Cause)
  }

  enum Action: Equatable {
    /// It can take runs.
    case announce
    case replace
    case drain
    case kill
    /// Waits for the end of its socket or for its exit status, whichever is missing, for a while.
    case await
    /// Its runs fail, and its descriptors are closed.
    case bury
  }

  private(set) var state = State.starting
  /// As `waitpid` gives it; nil while it is not known.
  private(set) var status: Int32?
  /// True when nothing is to take its place: something does already, or the server stops.
  private(set) var isReplaced = false
  private var hasSocket = true

  var takesRuns: Bool { state == .up }

  mutating func handle(_ happening: Happening) -> [Action] {
    if case .dead = state { return [] }
    switch happening {
    case .ready:
      guard state == .starting else { return handle(.badFrame("a second READY")) }
      state = .up
      return [.announce]
    case .failedImport:
      state = .ending(.failedImport)
      return [.await]
    case .badFrame(let text):
      begin(.badFrame(text))
      hasSocket = false
      return status == nil ? [.kill, .await] : bury()
    case .endOfFile:
      begin(.endOfFile)
      hasSocket = false
      return status == nil ? [.await] : bury()
    case .exited(let status):
      self.status = status
      return hasSocket ? [.await] : bury()
    case .waitedLongEnough:
      begin(.endOfFile)
      return bury()
    case .startTimeout:
      return state == .starting ? kill(.startTimeout) : []
    case .leave:
      guard state == .up else { return state == .starting ? kill(.stopped) : [] }
      (state, isReplaced) = (.leaving, true)
      return [.drain]
    case .overdue(let run): return overdue(run)
    case .ended(let run, let left): return ended(run, left)
    case .kill(let cause): return kill(cause)
    }
  }

  private mutating func overdue(_ run: UInt32) -> [Action] {
    switch state {
    case .up:
      (state, isReplaced) = (.suspect(stuck: [run]), true)
      return [.replace]
    case .leaving:
      state = .suspect(stuck: [run])
    case .suspect(var stuck):
      stuck.insert(run)
      state = .suspect(stuck: stuck)
    case .starting, .ending, .dead: break
    }
    return []
  }

  private mutating func ended(_ run: UInt32, _ left: Int) -> [Action] {
    guard case .suspect(var stuck) = state else { return [] }
    stuck.remove(run)
    if stuck.isEmpty {
      state = .leaving
      return [.drain]
    }
    state = .suspect(stuck: stuck)
    return left == stuck.count ? kill(.stuck) : []
  }

  private mutating func kill(_ cause: Cause) -> [Action] {
    begin(cause)
    return [.kill, .await]
  }

  /// The first cause counts.
  private mutating func begin(_ cause: Cause) {
    if case .ending = state { return }
    if cause == .stopped { isReplaced = true }
    state = .ending(cause)
  }

  private mutating func bury() -> [Action] {
    guard case .ending(let cause) = state else { return [] }
    state = .dead(cause)
    return [.bury]
  }
}

/// How a worker has ended, for the runs that it has taken along.
struct PythonDeath: Equatable {
  let pid: Int32?
  let cause: PythonWorkerLife.Cause
  let status: Int32?

  /// The signal that killed it.
  var signal: Int32? { status.flatMap { $0 & 0x7f == 0 ? nil : $0 & 0x7f } }
  var exitStatus: Int32? { status.flatMap { $0 & 0x7f == 0 ? ($0 >> 8) & 0xff : nil } }

  /// What clients get.
  var error: AgentError {
    var details: JSONObject = [:]
    if let pid { details["pid"] = .int(Int64(pid)) }
    if let signal { details["signal"] = .string(Self.name(ofSignal: signal)) }
    if let exitStatus { details["exit_status"] = .int(Int64(exitStatus)) }
    if case .badFrame(let text) = cause { details["protocol"] = .string(text) }
    if cause == .memory { details["reason"] = "memory" }
    return AgentError(
      code: "WORKER_CRASHED", message: "the agent's process ended during the run: \(sentence)",
      details: details)
  }

  /// How it ended, in a few words.
  var sentence: String {
    switch cause {
    case .badFrame(let text): return "it has sent \(text)"
    case .memory: return "it took too much memory (runtime.python.max_memory)"
    case .startTimeout: return "it was not ready in time (runtime.python.import_timeout_seconds)"
    case .failedImport: return "the agent could not be imported"
    case .stuck: return "a cancelled run did not end"
    case .stopped, .endOfFile: break
    }
    if let signal { return "killed by \(Self.name(ofSignal: signal))" }
    if let exitStatus { return "exit status \(exitStatus)" }
    return "its exit status is not known"
  }

  static func name(ofSignal number: Int32) -> String {
    switch number {
    case SIGHUP: "SIGHUP"
    case SIGINT: "SIGINT"
    case SIGQUIT: "SIGQUIT"
    case SIGILL: "SIGILL"
    case SIGTRAP: "SIGTRAP"
    case SIGABRT: "SIGABRT"
    case SIGBUS: "SIGBUS"
    case SIGFPE: "SIGFPE"
    case SIGKILL: "SIGKILL"
    case SIGUSR1: "SIGUSR1"
    case SIGSEGV: "SIGSEGV"
    case SIGUSR2: "SIGUSR2"
    case SIGPIPE: "SIGPIPE"
    case SIGALRM: "SIGALRM"
    case SIGTERM: "SIGTERM"
    case SIGXCPU: "SIGXCPU"
    case SIGSYS: "SIGSYS"
    default: "signal \(number)"
    }
  }
}
