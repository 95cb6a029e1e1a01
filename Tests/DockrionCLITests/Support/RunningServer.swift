import Foundation

/// A `dockrion run` of its own, on a free port unless one is given.
final class RunningServer {
  let command: Command
  let port: Int
  private let directory: TemporaryDirectory

  init(_ dockfile: String, port: Int = 0, environment: [String: String] = [:]) throws {
    directory = try TemporaryDirectory(dockfile: dockfile)
    let command = try Command(
      ["run", "--host", "127.0.0.1", "--port", "\(port)"], in: directory, environment: environment)
    var found: Int?
    _ = eventually(within: 20) {
      found = command.out.firstMatch(of: /http:\/\/127\.0\.0\.1:(\d+)/).flatMap { Int($0.1) }
      return found != nil
    }
    guard let found else { throw TestFailure("the server did not start: \(command.err)") }
    self.command = command
    self.port = found
  }

  var url: String { "http://127.0.0.1:\(port)" }
}

/// A listener on a free port of this machine, in blocking calls with deadlines.
final class Listener: Sendable {
  let port: Int
  private let descriptor: Int32

  init() throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = descriptor
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        bind(descriptor, address, size) == 0 && listen(descriptor, 16) == 0
          && getsockname(descriptor, address, &size) == 0
      }
    }
    guard bound else { throw TestFailure("no listener: \(String(cString: strerror(errno)))") }
    port = Int(UInt16(bigEndian: address.sin_port))
  }

  deinit { close(descriptor) }

  var url: String { "http://127.0.0.1:\(port)" }

  /// The next client.
  func accept(within seconds: Int32 = 20) throws -> Peer {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, seconds * 1000) == 1 else { throw TestFailure("nobody connected") }
    let client = Glibc.accept(descriptor, nil, nil)
    guard client >= 0 else { throw TestFailure("accept: \(String(cString: strerror(errno)))") }
    _ = fcntl(client, F_SETFD, FD_CLOEXEC)
    return Peer(client)
  }
}

/// One end of a connection.
final class Peer: Sendable {
  let descriptor: Int32

  init(_ descriptor: Int32) { self.descriptor = descriptor }

  deinit {
    // A command that another test started meanwhile may have the descriptor as well.
    shutdown(descriptor, Int32(SHUT_RDWR))
    close(descriptor)
  }

  func send(_ text: String) throws {
    let bytes = Array(text.utf8)
    guard Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw TestFailure("send: \(String(cString: strerror(errno)))")
    }
  }

  /// The client's request, up to the empty line.
  func request(within seconds: Int32 = 20) throws -> String {
    var bytes: [UInt8] = []
    var byte: UInt8 = 0
    while !bytes.suffix(4).elementsEqual([13, 10, 13, 10]) {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, seconds * 1000) == 1, recv(descriptor, &byte, 1, 0) == 1 else {
        throw TestFailure("no whole request: \(String(decoding: bytes, as: UTF8.self))")
      }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The head of an event stream that ends with the connection.
  func beginStream() throws {
    try send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
  }

  func sendReply(_ status: String, _ body: String) throws {
    try send(
      "HTTP/1.1 \(status)\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n"
        + "Connection: close\r\n\r\n\(body)")
  }
}
