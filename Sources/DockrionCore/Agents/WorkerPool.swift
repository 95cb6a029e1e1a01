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
  ///   - maximum: lanes when all are blocked, `width`…240: Dispatch has 255 threads at most.
  public init(name: String, width: Int, maximum: Int) {
    self.width = max(1, width)
    self.maximum = min(max(maximum, self.width), 240)
    // Serial queues, since each gets a thread of its own whatever the others do.
    lanes = (0..<self.maximum).map { DispatchQueue(label: "\(name).\($0)") }
    watch = DispatchQueue(label: "\(name).watch")
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

/// The two pools that a server has: one for asynchronous agents, one for those that block by design.
public struct Workers: Sendable {
  /// As wide as the machine has cores.
  public let cooperative: WorkerPool
  /// Opens a thread for each blocking agent, up to the configured number.
  public let blocking: WorkerPool

  /// - Parameters:
  ///   - cores: cores that agents may use, 1 or more.
  ///   - threads: threads that blocked agents may take in each pool, 1…240.
  public init(cores: Int, threads: Int) {
    cooperative = WorkerPool(name: "dockrion.agents", width: min(cores, threads), maximum: threads)
    blocking = WorkerPool(name: "dockrion.blocking", width: threads, maximum: threads)
  }
}
