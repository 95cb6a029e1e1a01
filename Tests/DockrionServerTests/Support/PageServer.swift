import Foundation

/// Serves one page at every path, and so is an origin of its own.
final class PageServer {
  let port: Int
  private let descriptor: Int32

  init(_ html: String) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw ClientError.system("socket") }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listens = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard listens else {
      let code = errno
      close(descriptor)
      throw ClientError.system("listen", code)
    }
    self.descriptor = descriptor
    port = Int(UInt16(bigEndian: address.sin_port))
    let reply = Array(
      ("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: \(html.utf8.count)\r\n"
        + "Connection: close\r\n\r\n" + html).utf8)
    Thread.detachNewThread {
      while true {
        let client = accept(descriptor, nil, nil)
        if client < 0 { break }
        Self.answer(client, reply)
        close(client)
      }
      close(descriptor)
    }
  }

  deinit {
    // It ends the thread's `accept`, and the thread closes the descriptor.
    shutdown(descriptor, Int32(SHUT_RDWR))
  }

  private static func answer(_ client: Int32, _ reply: [UInt8]) {
    var time = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    var request: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    while !request.suffix(4).elementsEqual([13, 10, 13, 10]) {
      let count = recv(client, &bytes, bytes.count, 0)
      guard count > 0 else { return }
      request += bytes[..<count]
    }
    _ = send(client, reply, reply.count, Int32(MSG_NOSIGNAL))
  }
}
