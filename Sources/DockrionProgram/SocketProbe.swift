import Glibc

/// Tries sockets out, for `doctor`.
enum SocketProbe {
  /// What the system refused.
  struct Failure: Error, CustomStringConvertible {
    let code: Int32
    let description: String

    init(_ code: Int32, _ context: String? = nil) {
      self.code = code
      let reason = String(cString: strerror(code))
      description = context.map { "\($0): \(reason)" } ?? reason
    }

    /// A name that cannot be looked up.
    init(lookup code: Int32) {
      self.code = 0
      description = String(cString: gai_strerror(code))
    }

    init(_ description: String) {
      code = 0
      self.description = description
    }
  }

  /// Binds and listens for a moment, the way the server does.
  static func bind(host: String, port: Int) throws(Failure) {
    let address = try addresses(host: host, port: port, passive: true)
    defer { freeaddrinfo(address) }
    let descriptor = try open(address)
    defer { close(descriptor) }
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    guard Glibc.bind(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0,
      listen(descriptor, 1) == 0
    else { throw Failure(errno) }
  }

  /// Connects and sends what `next` says, as long as it says something; it is given what came back to the text
  /// before, at most 4 KiB. Returns the last reply. Waits `seconds` for each.
  static func ask(
    host: String, port: Int, seconds: Int, _ next: (_ reply: String?) -> String?
  ) throws(Failure) -> String {
    let address = try addresses(host: host, port: port, passive: false)
    defer { freeaddrinfo(address) }
    let descriptor = try open(address)
    defer { close(descriptor) }
    return try ask(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen, seconds: seconds, next)
  }

  /// The same over a Unix socket.
  static func ask(
    unixSocket path: String, seconds: Int, _ next: (_ reply: String?) -> String?
  ) throws(Failure) -> String {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Failure(ENAMETOOLONG) }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(errno) }
    defer { close(descriptor) }
    let result: Result<String, Failure> = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        do throws(Failure) {
          let size = socklen_t(MemoryLayout<sockaddr_un>.size)
          return .success(try ask(descriptor, address, size, seconds: seconds, next))
        } catch {
          return .failure(error)
        }
      }
    }
    return try result.get()
  }

  private static func addresses(host: String, port: Int, passive: Bool) throws(Failure)
    -> UnsafeMutablePointer<addrinfo>
  {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    if passive { hints.ai_flags = AI_PASSIVE }
    var found: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &found)
    guard code == 0, let found else { throw Failure(lookup: code) }
    return found
  }

  private static func open(_ address: UnsafeMutablePointer<addrinfo>) throws(Failure) -> Int32 {
    let descriptor = socket(
      address.pointee.ai_family, address.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Failure(errno) }
    return descriptor
  }

  private static func ask(
    _ descriptor: Int32, _ address: UnsafePointer<sockaddr>?, _ size: socklen_t, seconds: Int,
    _ next: (_ reply: String?) -> String?
  ) throws(Failure) -> String {
    // On Linux the send timeout bounds connect as well.
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    let length = socklen_t(MemoryLayout<timeval>.size)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, length)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, length)
    guard connect(descriptor, address, size) == 0 else {
      throw Failure(errno == EINPROGRESS ? ETIMEDOUT : errno)
    }
    var reply: String?
    while let text = next(reply) {
      let bytes = Array(text.utf8)
      guard send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
        throw Failure(errno)
      }
      reply = try receive(descriptor)
    }
    return reply ?? ""
  }

  private static func receive(_ descriptor: Int32) throws(Failure) -> String {
    var reply = [UInt8](repeating: 0, count: 4096)
    let count = recv(descriptor, &reply, reply.count, 0)
    guard count > 0 else {
      if count == 0 { throw Failure("it closed the connection without an answer") }
      throw Failure(errno == EAGAIN ? ETIMEDOUT : errno)
    }
    return String(decoding: reply[..<count], as: UTF8.self)
  }
}
