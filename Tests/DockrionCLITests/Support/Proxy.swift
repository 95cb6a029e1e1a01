import DockrionCore
import Foundation

/// Passes connections on to a server of this machine, which can be exchanged behind it.
final class Proxy: Sendable {
  let port: Int
  private let target: Locked<Int?>

  /// - Parameter target: the server's port; nil closes whatever comes in at once.
  init(to target: Int?) throws {
    let listener = try Listener()
    let current = Locked(target)
    port = listener.port
    self.target = current
    // It ends when nobody has connected for a while.
    Thread.detachNewThread {
      while let client = try? listener.accept(within: 60) {
        guard let port = current.withLock({ $0 }), let server = try? Peer(connectingTo: port) else {
          continue
        }
        Thread.detachNewThread { Self.pump(client, server) }
      }
    }
  }

  var url: String { "http://127.0.0.1:\(port)" }

  func send(to port: Int?) { target.withLock { $0 = port } }

  /// Both ways, until one of the two closes.
  private static func pump(_ left: Peer, _ right: Peer) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      var entries = [left, right].map { pollfd(fd: $0.descriptor, events: Int16(POLLIN), revents: 0) }
      guard poll(&entries, 2, 60_000) > 0 else { return }
      for (index, (from, to)) in [(left, right), (right, left)].enumerated() where entries[index].revents != 0
      {
        let count = recv(from.descriptor, &buffer, buffer.count, 0)
        guard count > 0, Glibc.send(to.descriptor, buffer, count, Int32(MSG_NOSIGNAL)) == count else {
          return
        }
      }
    }
  }
}

extension Peer {
  convenience init(connectingTo port: Int) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    self.init(descriptor)
    guard code == 0 else { throw TestFailure("connect: \(String(cString: strerror(errno)))") }
  }
}
