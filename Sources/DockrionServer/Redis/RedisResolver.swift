import CLibevent
import DockrionLoop
import Glibc

/// Turns a host's name into an address without holding the loop, through libevent's resolver.
final class RedisResolver {
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }

  private final class Request {
    let then: (Result<String, Problem>) -> Void
    init(_ then: @escaping (Result<String, Problem>) -> Void) { self.then = then }
  }

  private let loop: EventLoop
  private var base: OpaquePointer?

  init(_ loop: EventLoop) { self.loop = loop }

  deinit { if let base { evdns_base_free(base, 0) } }

  /// Calls `then` with a numeric address, at once for one that is numeric already.
  func resolve(_ host: String, _ then: @escaping (Result<String, Problem>) -> Void) {
    var four = in_addr()
    var six = in6_addr()
    if inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1 {
      return then(.success(host))
    }
    // `/etc/hosts` and the name servers are read when first needed.
    if base == nil {
      base = evdns_base_new(
        loop.base, Int32(EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE))
    }
    guard let base else { return then(.failure(Problem(description: "the name servers cannot be read"))) }
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    let request = Unmanaged.passRetained(Request(then))
    evdns_getaddrinfo(
      base, host, nil, &hints,
      { code, list, request in
        let request = Unmanaged<Request>.fromOpaque(request!).takeRetainedValue()
        defer { if let list { evutil_freeaddrinfo(list) } }
        guard code == 0, let list else {
          return request.then(.failure(Problem(description: String(cString: evutil_gai_strerror(code)))))
        }
        request.then(RedisResolver.numeric(list))
      }, request.toOpaque())
  }

  private static func numeric(_ list: UnsafeMutablePointer<addrinfo>) -> Result<String, Problem> {
    var text = [CChar](repeating: 0, count: 64)
    let code = getnameinfo(
      list.pointee.ai_addr, list.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
    guard code == 0 else { return .failure(Problem(description: String(cString: gai_strerror(code)))) }
    return .success(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
  }
}
