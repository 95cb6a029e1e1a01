import DequeModule
import Dispatch
import Glibc

/// The threads that run agents: Dispatch lanes that take jobs from one queue.
///
/// Jobs that suspend need no thread, so `width` lanes are enough for any number of waiting agents. When all lanes
/// are taken and no job has been started for a while, the lanes must be blocked, and further ones are opened, up
/// to `maximum`: a blocked agent delays the others by about `stallMilliseconds`, once. Lanes above `width` close
/// when there is nothing to do.
public final class WorkerPool: TaskExecutor {
  /// How long all lanes must have been stuck before another one opens.
  public static let stallMilliseconds = 5

  /// How often a lane that has nothing to do lets others run before it rests.
  private static let looksBeforeRest = 2

  /// A share of Dispatch's threads; who takes up all of one keeps nobody from the other.
  public enum Threads: Sendable {
    /// Where agents run, and with them any library of theirs that makes queues without saying of which class.
    case agents
    /// For what must go on when agents have taken all of theirs.
    case server

    var qos: DispatchQoS { self == .agents ? .unspecified : .userInitiated }
  }

  private enum Work: Sendable {
    case job(UnownedJob)
    case closure(@Sendable () -> Void)
  }

  private struct State {
    var work: Deque<Work> = []
    var idleLanes: [Int]
    var active = 0
    var started = 0
    var startedAtLastLook = 0
    var watching = false
  }

  private let width: Int
  private let maximum: Int
  private let lanes: [DispatchQueue]
  private let watch: DispatchQueue
  private let state: Locked<State>

  /// - Parameters:
  ///   - name: shown by debuggers.
  ///   - width: lanes that run as long as there is work, 1 or more.
  ///   - maximum: lanes when all are blocked, `width` or more.
  ///   - threads: whose 255 threads the lanes take theirs from: Dispatch has that many for each class of service.
  public init(name: String, width: Int, maximum: Int, threads: Threads = .agents) {
    self.width = max(1, width)
    self.maximum = max(maximum, self.width)
    // Serial queues, since each gets a thread of its own whatever the others do.
    lanes = (0..<self.maximum).map { DispatchQueue(label: "\(name).\($0)", qos: threads.qos) }
    watch = DispatchQueue(label: "\(name).watch", qos: Threads.server.qos)
    state = Locked(State(idleLanes: Array((0..<self.maximum).reversed())))
  }

  public func enqueue(_ job: consuming ExecutorJob) { add(.job(UnownedJob(job))) }

  /// Runs a closure on a lane, in its turn.
  public func async(_ body: @escaping @Sendable () -> Void) { add(.closure(body)) }

  private func add(_ work: Work) {
    let (lane, startWatching) = state.withLock { state -> (Int?, Bool) in
      state.work.append(work)
      if state.active < width {
        state.active += 1
        return (state.idleLanes.removeLast(), false)
      }
      if state.watching { return (nil, false) }
      state.watching = true
      state.startedAtLastLook = state.started
      return (nil, true)
    }
    if let lane { lanes[lane].async { self.drain(lane) } }
    if startWatching { scheduleLook() }
  }

  private func drain(_ lane: Int) {
    var looks = 0
    while true {
      // The loop often has more in a moment; to sleep and be woken would cost more than the agent does.
      let mayRest = looks == Self.looksBeforeRest
      guard let work = next(lane, mayRest: mayRest) else {
        if mayRest { return }
        looks += 1
        sched_yield()
        continue
      }
      looks = 0
      switch work {
      case .job(let job): job.runSynchronously(on: asUnownedTaskExecutor())
      case .closure(let body): body()
      }
    }
  }

  private func next(_ lane: Int, mayRest: Bool) -> Work? {
    state.withLock { state in
      guard let work = state.work.popFirst() else {
        guard mayRest else { return nil }
        state.active -= 1
        state.idleLanes.append(lane)
        return nil
      }
      state.started += 1
      return work
    }
  }

  private func scheduleLook() {
    watch.asyncAfter(deadline: .now() + .milliseconds(Self.stallMilliseconds)) { self.look() }
  }

  private func look() {
    let (opened, again) = state.withLock { state -> ([Int], Bool) in
      var opened: [Int] = []
      guard !state.work.isEmpty else {
        state.watching = false
        return (opened, false)
      }
      if state.started == state.startedAtLastLook {
        let more = min(state.work.count, max(1, state.active), maximum - state.active)
        for _ in 0..<max(0, more) { opened.append(state.idleLanes.removeLast()) }
        state.active += opened.count
      }
      state.startedAtLastLook = state.started
      return (opened, true)
    }
    for lane in opened { lanes[lane].async { self.drain(lane) } }
    if again { scheduleLook() }
  }
}

/// The threads of a server besides its loop: two pools for agents, asynchronous ones and those that block by design,
/// and two for what the server itself must get done while agents block all of theirs.
public struct Workers: Sendable {
  /// As wide as the machine has cores.
  public let cooperative: WorkerPool
  /// Opens a thread for each blocking agent, up to the configured number.
  public let blocking: WorkerPool
  /// Parses payloads. None of an agent's code runs here, so that it is never blocked.
  public let parsing: WorkerPool
  /// Cancels tasks, which runs handlers of theirs. One that blocks holds up the others by `stallMilliseconds`, and
  /// `Limits.cancellingLanesMax` of them all that come behind them, but neither the loop nor the parsing.
  let cancelling: WorkerPool

  /// - Parameters:
  ///   - cores: cores that agents may use, 1 or more.
  ///   - threads: threads that blocked agents may take in each of the two pools for agents, 1 or more; above
  ///     `Limits.workerThreadsMax` it is that.
  public init(cores: Int, threads: Int) {
    let threads = min(threads, Limits.workerThreadsMax)
    parsing = WorkerPool(
      name: "dockrion.parsing", width: min(cores, Limits.parsingLanesMax),
      maximum: min(cores, Limits.parsingLanesMax), threads: .server)
    cancelling = WorkerPool(
      name: "dockrion.cancelling", width: 1, maximum: Limits.cancellingLanesMax, threads: .server)
    cooperative = WorkerPool(name: "dockrion.agents", width: min(cores, threads), maximum: threads)
    blocking = WorkerPool(name: "dockrion.blocking", width: threads, maximum: threads)
  }
}
