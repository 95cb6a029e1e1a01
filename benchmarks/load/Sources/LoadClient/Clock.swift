import Glibc

/// Nanoseconds of `CLOCK_MONOTONIC`, the clock that the `scripted` agent stamps its tokens with.
public func monotonicNanoseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// Why a measurement could not be made, in words.
public struct LoadError: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }

  /// Adds what `errno` says.
  static func system(_ what: String, _ code: Int32 = errno) -> LoadError {
    LoadError("\(what): \(String(cString: strerror(code)))")
  }
}
