import DockrionCore
import Foundation

/// A listener of which each connection gets what a script says, byte for byte, whatever HTTP thinks of it.
///
///     let server = try HostileServer { peer, number in try peer.sendReply("302 Found", "") }
///     server.requests    // what came so far, heads only
final class HostileServer: Sendable {
  let port: Int
  private let seen = Locked<[String]>([])

  /// - Parameter script: called with each connection after its request's head was read, and its number, from 1; the
  ///   connection is closed when it returns or throws.
  init(_ script: @escaping @Sendable (Peer, Int) throws -> Void) throws {
    let listener = try Listener()
    let seen = seen
    port = listener.port
    // It ends when nobody has connected for a while.
    Thread.detachNewThread {
      while let peer = try? listener.accept(within: 60) {
        guard let request = try? peer.request() else { continue }
        let number = seen.withLock { requests in
          requests.append(request)
          return requests.count
        }
        Thread.detachNewThread { try? script(peer, number) }
      }
    }
  }

  var url: String { "http://127.0.0.1:\(port)" }

  var requests: [String] { seen.withLock { $0 } }
}

extension Peer {
  /// Sends the text again and again until the client has had enough.
  ///
  /// - Returns: how many bytes the client took, about: what lies in the sockets counts as well.
  func flood(_ text: String, atMost bytes: Int) -> Int {
    var sent = 0
    while sent < bytes {
      guard (try? send(text)) != nil else { break }
      sent += text.utf8.count
    }
    return sent
  }
}
