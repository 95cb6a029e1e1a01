import Foundation

/// Where a Redis server is: `redis://[user:password@]host[:port][/db]` or `unix://[user:password@]/path`.
///
/// Its description leaves the password out.
public struct RedisURL: Sendable, Equatable, CustomStringConvertible {
  public enum Place: Sendable, Equatable {
    case tcp(host: String, port: Int)
    case unix(path: String)
  }

  /// What is wrong with a text that should be such a URL; a sentence without its password.
  public struct Problem: Error, CustomStringConvertible {
    public let description: String
  }

  public let place: Place
  public let user: String?
  public let password: String?
  /// The database's number for `SELECT`.
  public let database: Int

  /// - Throws: `Problem` with what would be right.
  public init(_ text: String) throws(Problem) {
    let scheme = text.prefix { $0 != ":" }.lowercased()
    guard scheme != "rediss" else {
      throw Problem(
        description:
          "rediss:// needs TLS, which this server does not speak to Redis; use redis:// through a tunnel")
    }
    // Foundation takes a lone % for itself.
    let escapes = text.split(separator: "%", omittingEmptySubsequences: false).dropFirst()
    guard escapes.allSatisfy({ $0.prefix(2).count == 2 && $0.prefix(2).allSatisfy(\.isHexDigit) }) else {
      throw Problem(description: "a % without two hexadecimal digits; write %25 for the sign itself")
    }
    guard ["redis", "unix"].contains(scheme), let parts = URLComponents(string: text) else {
      throw Problem(
        description: "not a Redis URL; redis://[user:password@]host[:port][/db] or unix:///path is needed")
    }
    if let option = parts.queryItems?.first {
      throw Problem(description: "the option \"\(option.name)\" is unknown; a Redis URL takes none here")
    }
    if parts.fragment != nil {
      throw Problem(description: "a # begins a fragment; write it as %23 in a password")
    }
    user = parts.user.flatMap { $0.isEmpty ? nil : $0 }
    password = parts.password
    if scheme == "unix" {
      let isHostless = (parts.host ?? "").isEmpty && parts.port == nil
      guard isHostless, parts.path.hasPrefix("/"), parts.path.utf8.count > 1, parts.path.utf8.count < 108
      else {
        throw Problem(description: "a Unix socket's URL is unix:///path, with a path of 2…107 bytes")
      }
      place = .unix(path: parts.path)
      database = 0
      return
    }
    guard let host = parts.host, !host.isEmpty else {
      throw Problem(description: "a host is missing; redis://host[:port][/db] is needed")
    }
    let port = parts.port ?? 6379
    guard (1...65_535).contains(port) else {
      throw Problem(description: "port \(port) is out of range (1…65535)")
    }
    // IPv6 addresses stand in brackets in a URL, and nowhere else.
    place = .tcp(host: host.trimmingCharacters(in: ["[", "]"]), port: port)
    let path = parts.path.hasPrefix("/") ? String(parts.path.dropFirst()) : parts.path
    guard path.isEmpty || path.allSatisfy(\.isASCII), let number = path.isEmpty ? 0 : Int(path),
      (0...1_000_000).contains(number)
    else {
      throw Problem(description: "\"\(path.prefix(40))\" is no database; a number stands behind the last /")
    }
    database = number
  }

  /// `redis://127.0.0.1:6379`, where nothing else is said.
  public static let local = RedisURL(.tcp(host: "127.0.0.1", port: 6379))

  private init(_ place: Place) {
    self.place = place
    (user, password, database) = (nil, nil, 0)
  }

  public var description: String {
    let account = user.map { "\($0)@" } ?? ""
    switch place {
    case .tcp(let host, let port):
      let name = host.contains(":") ? "[\(host)]" : host
      return "redis://\(account)\(name):\(port)/\(database)"
    case .unix(let path): return "unix://\(account)\(path)"
    }
  }
}
