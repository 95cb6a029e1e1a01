import Foundation
import Synchronization

/// A cable whose packets take their time: two TUN devices, and a thread that carries packets from one to the other.
/// (`tc … netem` would do the same, where the kernel has it.)
final class SlowCable: Sendable {
  private let ends: [Int32]
  private let delay: UInt64
  private let isCut = Atomic<Bool>(false)
  private let isOver = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  /// - Parameters:
  ///   - names: the devices to make; they go with the cable.
  ///   - milliseconds: what a packet takes in each direction.
  init(_ names: [String], milliseconds: Double) throws {
    ends = try names.map(Self.open)
    delay = UInt64(milliseconds * 1e6)
    Thread.detachNewThread { [self] in
      carry()
      ended.signal()
    }
  }

  /// Loses every packet from now on.
  func cut() { isCut.store(true, ordering: .relaxed) }

  func remove() {
    isOver.store(true, ordering: .relaxed)
    ended.wait()
    for end in ends { close(end) }
  }

  private static func open(_ name: String) throws -> Int32 {
    let descriptor = Glibc.open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw ClientError.system("cannot open /dev/net/tun") }
    // `struct ifreq` of <net/if.h>: 16 bytes of name, then the flags; IFF_TUN | IFF_NO_PI.
    var request = [UInt8](repeating: 0, count: 40)
    request.replaceSubrange(0..<name.utf8.count, with: name.utf8)
    request[16...17] = [0x01, 0x10]
    let tunsetiff: UInt = 0x4004_54CA
    guard ioctl(descriptor, tunsetiff, &request) == 0 else {
      defer { close(descriptor) }
      throw ClientError.system("cannot make the device \(name)")
    }
    return descriptor
  }

  private func carry() {
    var under: [(due: UInt64, to: Int32, packet: [UInt8])] = []
    var bytes = [UInt8](repeating: 0, count: 65_536)
    while !isOver.load(ordering: .relaxed) {
      var ready = ends.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let now = monotonicNanoseconds()
      let wait = under.first.map { $0.due > now ? $0.due - now : 0 } ?? 50_000_000
      poll(&ready, 2, Int32(min(wait / 1_000_000, 50)))
      if wait < 1_000_000 { usleep(UInt32(min(wait / 1000, 100))) }
      for (from, to) in [(0, 1), (1, 0)] where ready[from].revents & Int16(POLLIN) != 0 {
        while true {
          let count = read(ends[from], &bytes, bytes.count)
          guard count > 0 else { break }
          if isCut.load(ordering: .relaxed) { continue }
          under.append((monotonicNanoseconds() + delay, ends[to], Array(bytes[..<count])))
        }
      }
      let due = monotonicNanoseconds()
      let arrived = under.prefix { $0.due <= due }
      for packet in arrived { _ = write(packet.to, packet.packet, packet.packet.count) }
      under.removeFirst(arrived.count)
    }
  }
}
