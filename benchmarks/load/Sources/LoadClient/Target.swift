import Glibc

/// Where the server listens.
public enum Target: Sendable, Equatable {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  /// Reads `http://127.0.0.1:8080` or `unix:/run/dockrion.sock`; nil for anything else.
  public init?(_ text: String) {
    if text.hasPrefix("unix:"), text.count > 5 {
      self = .unix(path: String(text.dropFirst(5)))
      return
    }
    guard text.hasPrefix("http://") else { return nil }
    let rest = text.dropFirst(7).prefix { $0 != "/" }
    let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count <= 2, let port = parts.count == 2 ? UInt16(parts[1]) : 80, port > 0 else { return nil }
    let host = parts[0] == "localhost" ? "127.0.0.1" : String(parts[0])
    var address = in_addr()
    guard inet_pton(AF_INET, host, &address) == 1 else { return nil }
    self = .tcp(host: host, port: port)
  }

  /// A socket that does not block, connected or about to be.
  func open() throws -> Int32 {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    var family = AF_INET
    if case .unix = self { family = AF_UNIX }
    let descriptor = socket(family, kind, 0)
    guard descriptor >= 0 else { throw LoadError.system("socket") }
    guard connect(descriptor) == 0 || errno == EINPROGRESS else {
      let code = errno
      close(descriptor)
      throw LoadError.system("connect", code)
    }
    return descriptor
  }

  private func connect(_ descriptor: Int32) -> Int32 {
    switch self {
    case .tcp(let host, let port):
      var one: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = port.bigEndian
      inet_pton(AF_INET, host, &address.sin_addr)
      return withSocketAddress(&address) { Glibc.connect(descriptor, $0, $1) }
    case .unix(let path):
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
      return withSocketAddress(&address) { Glibc.connect(descriptor, $0, $1) }
    }
  }
}

private func withSocketAddress<Address>(
  _ address: inout Address, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) -> Int32 {
  withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<Address>.size)) }
  }
}

/// Takes the system's hard limit for open descriptors and returns it.
@discardableResult
public func raiseDescriptorLimit() -> Int {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  return Int(clamping: limit.rlim_cur)
}
