import DockrionCore
import Foundation

/// What this machine makes of an event's way while a test measures the server's: a thread that sleeps and then sends a
/// stamp, one that passes it on, one that reads it. Busy neighbours delay both alike.
///
///     let control = try RelayControl()
///     …
///     let times = control.stop()
///     #expect(median < 2 + 3 * times.median)
final class RelayControl: Sendable {
  private let delays = Locked<[Double]>([])
  private let isOver = Locked(false)
  private let ended = DispatchSemaphore(value: 0)

  /// - Parameter interval: seconds between two stamps.
  init(interval: Double = 0.005) throws {
    let (first, second) = (try Self.pair(), try Self.pair())
    let (delays, isOver, ended) = (delays, isOver, ended)
    Thread.detachNewThread {
      while !isOver.withLock({ $0 }) {
        usleep(UInt32(interval * 1e6))
        Self.write(monotonicNanoseconds(), to: first.1)
      }
      close(first.1)
    }
    Thread.detachNewThread {
      while let stamp = Self.read(first.0) { Self.write(stamp, to: second.1) }
      close(first.0)
      close(second.1)
    }
    Thread.detachNewThread {
      while let stamp = Self.read(second.0) {
        let delay = Double(monotonicNanoseconds() - stamp) / 1e6
        delays.withLock { $0.append(delay) }
      }
      close(second.0)
      ended.signal()
    }
  }

  deinit { isOver.withLock { $0 = true } }

  /// Ends it. Milliseconds from the send of a stamp to its arrival; 0 where none has come.
  func stop() -> (median: Double, worst: Double) {
    isOver.withLock { $0 = true }
    _ = ended.wait(timeout: .now() + .seconds(30))
    let sorted = delays.withLock { $0.sorted() }
    return sorted.isEmpty ? (0, 0) : (sorted[sorted.count / 2], sorted[sorted.count - 1])
  }

  private static func pair() throws -> (Int32, Int32) {
    var ends: [Int32] = [0, 0]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0
    else {
      throw ClientError.system("socketpair")
    }
    return (ends[0], ends[1])
  }

  private static func write(_ stamp: UInt64, to descriptor: Int32) {
    var stamp = stamp
    _ = send(descriptor, &stamp, MemoryLayout<UInt64>.size, Int32(MSG_NOSIGNAL))
  }

  private static func read(_ descriptor: Int32) -> UInt64? {
    var stamp: UInt64 = 0
    let size = MemoryLayout<UInt64>.size
    return recv(descriptor, &stamp, size, Int32(MSG_WAITALL)) == size ? stamp : nil
  }
}
