import Foundation

/// Where a server listens.
enum Endpoint: Sendable {
  /// A port on this machine's loopback.
  case tcp(Int)
  /// An IPv4 address and a port, for a client that is elsewhere.
  case address(String, Int)
  case unix(String)
}

/// One connection, blocking, with a deadline on everything.
final class Connection {
  private var descriptor: Int32
  /// What an earlier response left over.
  private var waiting: [UInt8] = []

  /// - Parameter receiveBuffer: the size of `SO_RCVBUF`; a small one soon stops the sender.
  init(to endpoint: Endpoint, receiveBuffer: Int32? = nil) throws {
    descriptor = try openSocket(to: endpoint, receiveBuffer: receiveBuffer)
  }

  deinit { close() }

  var isOpen: Bool { descriptor >= 0 }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  func send(_ bytes: [UInt8], within seconds: Double = 10) throws {
    let deadline = Deadline.in(seconds)
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count >= 0 {
        sent += count
      } else if errno == EAGAIN {
        try wait(for: POLLOUT, until: deadline, what: "to send")
      } else if errno != EINTR {
        throw ClientError.system("send")
      }
    }
  }

  /// From now on each send is a segment of its own.
  func sendWithoutDelay() {
    var yes: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
  }

  /// Sends every byte in a segment of its own.
  func sendByteByByte(_ text: String) throws {
    sendWithoutDelay()
    for byte in text.utf8 { try send([byte]) }
  }

  /// What has come, at most 64 KiB; empty at the end of the stream.
  func receive(until deadline: Deadline) throws -> [UInt8] {
    if !waiting.isEmpty {
      defer { waiting.removeAll() }
      return waiting
    }
    var bytes = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = bytes.withUnsafeMutableBytes {
        recv(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
      }
      if count >= 0 { return Array(bytes[..<count]) }
      if errno == EAGAIN {
        try wait(for: POLLIN, until: deadline, what: "for bytes")
      } else if errno != EINTR {
        throw ClientError.system("receive")
      }
    }
  }

  /// Whether the server closes the connection, whatever it sends before, within `seconds`.
  func isClosedByServer(within seconds: Double) -> Bool {
    let deadline = Deadline.in(seconds)
    do {
      while try !receive(until: deadline).isEmpty {}
      return true
    } catch {
      return !deadline.hasPassed
    }
  }

  /// Whether the server has closed the connection by now; what it sent before is thrown away.
  var hasEnded: Bool {
    guard descriptor >= 0 else { return true }
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      if count == 0 { return true }
      if count < 0 { return errno != EAGAIN && errno != EINTR }
    }
  }

  /// Whether something has come that nobody has read.
  var hasBytes: Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return !waiting.isEmpty || poll(&entry, 1, 0) > 0
  }

  /// Gives back bytes that came behind the end of a response.
  func unread(_ bytes: [UInt8]) { waiting = bytes + waiting }

  func halfClose() { shutdown(descriptor, Int32(SHUT_WR)) }

  func close() {
    guard descriptor >= 0 else { return }
    Glibc.close(descriptor)
    descriptor = -1
  }

  /// Closes with RST instead of FIN.
  func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    close()
  }

  private func wait(for events: Int32, until deadline: Deadline, what: String) throws {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    guard poll(&entry, 1, deadline.remainingMilliseconds) != 0 else {
      throw ClientError("waited too long \(what)")
    }
  }
}

/// A connected socket; nil of the receive buffer's size leaves the system's.
func openSocket(to endpoint: Endpoint, receiveBuffer: Int32?) throws -> Int32 {
  let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  let descriptor: Int32
  switch endpoint {
  case .tcp, .address: descriptor = socket(AF_INET, stream, 0)
  case .unix: descriptor = socket(AF_UNIX, stream, 0)
  }
  guard descriptor >= 0 else { throw ClientError.system("socket") }
  if var size = receiveBuffer {
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, 4)
  }
  let result: Int32
  switch endpoint {
  case .tcp(let port): result = connectSocket(descriptor, "127.0.0.1", port)
  case .address(let host, let port): result = connectSocket(descriptor, host, port)
  case .unix(let path):
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    result = connectSocket(descriptor, &address)
  }
  guard result == 0 else {
    let code = errno
    close(descriptor)
    throw ClientError.system("connect", code)
  }
  return descriptor
}

private func connectSocket(_ descriptor: Int32, _ host: String, _ port: Int) -> Int32 {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = in_port_t(port).bigEndian
  inet_pton(AF_INET, host, &address.sin_addr)
  return connectSocket(descriptor, &address)
}

private func connectSocket<Address>(_ descriptor: Int32, _ address: inout Address) -> Int32 {
  withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
    }
  }
}
