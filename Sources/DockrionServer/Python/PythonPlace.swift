import DockrionCore
import DockrionLoop

/// One of a pool's places: the worker that serves there, and the one that is to follow it.
final class PythonPlace {
  var serving: PythonWorker?
  var coming: PythonWorker?
  /// How often in a row a worker has ended here by itself.
  private(set) var crashes = 0
  let timer: LoopTimer

  init(_ index: Int, _ pool: PythonPool) {
    timer = LoopTimer(pool.loop) { [unowned pool] in pool.fork(index) }
  }

  /// Has another worker forked, after a while that grows.
  func restart(afterCrashes count: Int) {
    crashes = count + 1
    timer.set(microseconds: Self.delay(afterCrashes: count) * 1000)
  }

  /// Milliseconds until something that has ended so often in a row is started again.
  static func delay(afterCrashes count: Int) -> Int {
    guard count > 0 else { return 0 }
    return min(
      Limits.pythonRestartMillisecondsMin << min(count - 1, 20), Limits.pythonRestartMillisecondsMax)
  }

  func clear() {
    timer.clear()
    (serving, coming) = (nil, nil)
  }
}

/// A thread of a LangGraph agent: its runs go to the same process while that lives.
enum PythonThread {
  /// A number for the payload's `config.configurable.thread_id`; nil where it has none.
  static func affinity(of input: JSONObject) -> Int? {
    guard let thread = input["config"]?.object?["configurable"]?.object?["thread_id"] else { return nil }
    let text: String
    switch thread {
    case .string(let value): text = value
    case .int(let value): text = "\(value)"
    default: return nil
    }
    // FNV-1a: the same in every process of a deployment.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01b3 }
    return Int(hash >> 1)
  }
}
