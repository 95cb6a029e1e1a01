import Foundation
import Synchronization

/// Another machine, as far as the network goes: a namespace with one cable to this one, which can be cut.
///
///     let network = try PeerNetwork()
///     let connection = try network.inside { try Connection(to: .address(network.hostAddress, port)) }
///     try network.cut()
///
/// It needs root, as containers of CI give it, and `ip` of iproute2. All that it makes is gone with it.
final class PeerNetwork {
  /// This machine's address on the cable.
  let hostAddress: String
  private let name: String
  private var hostEnd: String { name + "h" }
  private var peerEnd: String { name + "p" }
  private var slowCable: SlowCable?
  private static let made = Atomic<Int>(0)

  /// - Parameter oneWayMilliseconds: what a packet takes to the other end, above what this machine takes itself.
  init(oneWayMilliseconds: Double? = nil) throws {
    guard geteuid() == 0 else {
      throw ClientError("network namespaces need root: run the tests as root, as CI does")
    }
    Self.removeAbandoned()
    // The number of the process keeps test runs on one machine apart; an interface's name has 15 characters.
    let number = Self.made.add(1, ordering: .relaxed).newValue
    name = "dk\(getpid())x\(number)"
    // 198.18.0.0/15 is for tests of networks (RFC 2544); a cable takes four addresses.
    let cable = (Int(getpid()) * 8 + number) % 32_768
    let prefix = "198.\(18 + cable / 16_384).\(cable / 64 % 256)"
    hostAddress = "\(prefix).\(cable % 64 * 4 + 1)"
    do {
      try runCommand("ip", "netns", "add", name)
      if let oneWayMilliseconds {
        slowCable = try SlowCable([hostEnd, peerEnd], milliseconds: oneWayMilliseconds)
      } else {
        try runCommand("ip", "link", "add", hostEnd, "type", "veth", "peer", "name", peerEnd)
      }
      try runCommand("ip", "link", "set", peerEnd, "netns", name)
      try runCommand("ip", "addr", "add", hostAddress + "/30", "dev", hostEnd)
      try runCommand("ip", "link", "set", hostEnd, "up")
      try runCommand("ip", "-n", name, "addr", "add", "\(prefix).\(cable % 64 * 4 + 2)/30", "dev", peerEnd)
      try runCommand("ip", "-n", name, "link", "set", peerEnd, "up")
    } catch {
      remove()
      throw error
    }
  }

  deinit { remove() }

  /// The peer hears and says nothing any more, and nobody is told: no FIN, no RST.
  func cut(_ way: Way) throws {
    // A TUN device that is down would be noticed at once.
    if let slowCable { return slowCable.cut() }
    switch way {
    case .linkDown: try runCommand("ip", "-n", name, "link", "set", peerEnd, "down")
    // The cable stands, but whatever arrives is for nobody.
    case .deafPeer: try runCommand("ip", "-n", name, "addr", "flush", "dev", peerEnd)
    }
  }

  enum Way: String, CaseIterable { case linkDown, deafPeer }

  /// Runs `body`, whose sockets then belong to the peer, on the calling thread.
  func inside<T>(_ body: () throws -> T) throws -> T {
    let here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
    let there = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
    defer {
      close(here)
      close(there)
    }
    guard here >= 0, there >= 0 else { throw ClientError.system("cannot open a network namespace") }
    guard enter(there) == 0 else { throw ClientError.system("cannot enter a network namespace") }
    defer { precondition(enter(here) == 0, "this thread cannot return to its network") }
    return try body()
  }

  private func enter(_ descriptor: Int32) -> Int32 {
    // The Glibc module leaves `setns` of <sched.h> out.
    typealias Setns = @convention(c) (Int32, Int32) -> Int32
    guard let symbol = dlsym(nil, "setns") else { return -1 }
    return unsafeBitCast(symbol, to: Setns.self)(descriptor, 0)
  }

  /// Removes what a test run that was killed left behind.
  private static func removeAbandoned() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? [] {
      guard let owner = name.wholeMatch(of: /dk(\d+)x\d+/)?.1 else { continue }
      if access("/proc/\(owner)", F_OK) != 0 { _ = try? runCommand("ip", "netns", "del", name) }
    }
  }

  private func remove() {
    slowCable?.remove()
    slowCable = nil
    _ = try? runCommand("ip", "link", "del", hostEnd)
    _ = try? runCommand("ip", "netns", "del", name)
  }
}
