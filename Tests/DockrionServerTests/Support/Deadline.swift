import Foundation

/// A moment on the monotonic clock by which something must have happened.
struct Deadline: Sendable {
  let nanoseconds: UInt64

  /// - Parameter seconds: what an idle machine gets; a busy one gets as many times that as threads share a core.
  static func `in`(_ seconds: Double) -> Deadline {
    Deadline(nanoseconds: monotonicNanoseconds() + UInt64(seconds * share * 1e9))
  }

  /// Threads a core that run or want to, over the last minute; 1 at least.
  private static var share: Double {
    var load = 0.0
    return getloadavg(&load, 1) == 1 ? max(1, load / Double(ProcessInfo.processInfo.activeProcessorCount)) : 1
  }

  var hasPassed: Bool { monotonicNanoseconds() >= nanoseconds }

  /// What `poll` takes: rounded up, so that a wait never ends before the deadline.
  var remainingMilliseconds: Int32 {
    let now = monotonicNanoseconds()
    guard nanoseconds > now else { return 0 }
    return Int32(clamping: (nanoseconds - now + 999_999) / 1_000_000)
  }
}

/// The clock that the `scripted` agent stamps its tokens with.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

func seconds(since start: UInt64) -> Double {
  Double(monotonicNanoseconds() - start) / 1e9
}

/// Looks again every few milliseconds until `condition` holds; false when it does not within `seconds`.
func eventually(within seconds: Double, _ condition: () throws -> Bool) rethrows -> Bool {
  let deadline = Deadline.in(seconds)
  while true {
    if try condition() { return true }
    if deadline.hasPassed { return false }
    usleep(5000)
  }
}

/// What went wrong between this process and the server, in words.
struct ClientError: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// Adds what `errno` says.
  static func system(_ what: String, _ code: Int32 = errno) -> ClientError {
    ClientError("\(what): \(String(cString: strerror(code)))")
  }
}
