import DockrionCore
import Foundation
import Yams

/// Whether the Redis that a Dockfile asks for answers a PING.
enum RedisCheck {
  static let timeoutSeconds = 3

  /// Nil where the Dockfile does not ask for Redis, or cannot be read at all.
  ///
  /// It looks at the file's tree and not at the model, so that it also speaks where the reader refuses the file.
  static func finding(
    dockfile path: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> Finding? {
    guard let text = try? Dockfile.text(path: path), let root = try? Dockfile.tree(text, path: path),
      let streaming = root["streaming"]
    else { return nil }
    let interpolation = Interpolation(environment: environment)
    func value(_ node: Node?) -> String? { node?.scalar.flatMap { try? interpolation.expand($0.string) } }
    guard value(streaming["backend"]) == "redis" else { return nil }
    guard let url = value(streaming["redis"]?["url"]) else {
      return .fail(
        "Redis", "streaming.redis.url is missing, or a variable in it is not set",
        "write url: \(StreamingSection.redisURL)")
    }
    return check(url)
  }

  /// The URL itself is never shown whole: it may hold a password.
  static func check(_ url: String) -> Finding {
    let advice = "start Redis there, or correct streaming.redis.url"
    guard let parts = URLComponents(string: url), let scheme = parts.scheme,
      ["redis", "rediss", "unix"].contains(scheme)
    else {
      return .fail("Redis", "streaming.redis.url is no Redis URL", "use redis://host:port")
    }
    let host = parts.host.flatMap { $0.isEmpty ? nil : $0 } ?? "127.0.0.1"
    let port = parts.port ?? 6379
    let place = scheme == "unix" ? "unix:\(parts.path)" : "\(host):\(port)"
    do {
      switch scheme {
      case "unix":
        return verdict(
          try SocketProbe.ask(unixSocket: parts.path, commands(parts), seconds: timeoutSeconds), place)
      case "rediss":
        _ = try SocketProbe.ask(host: host, port: port, "", seconds: timeoutSeconds)
        return .warn(
          "Redis", "\(place) takes connections; what it says over TLS was not checked",
          "try: redis-cli --tls -h \(host) -p \(port) ping")
      default:
        let name = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        return verdict(
          try SocketProbe.ask(host: name, port: port, commands(parts), seconds: timeoutSeconds), place)
      }
    } catch {
      return .fail("Redis", "\(place) does not answer: \(error)", advice)
    }
  }

  /// `AUTH`, where the URL has a password, and `PING`, in Redis' own protocol.
  private static func commands(_ url: URLComponents) -> String {
    func command(_ words: [String]) -> String {
      "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }
    guard let password = url.password else { return command(["PING"]) }
    let user = url.user.flatMap { $0.isEmpty ? nil : $0 }
    return command(["AUTH"] + [user, password].compactMap(\.self)) + command(["PING"])
  }

  private static func verdict(_ reply: String, _ place: String) -> Finding {
    let first = reply.split(separator: "\r\n").first.map { Terminal.harmless(String($0)) } ?? ""
    if first == "+PONG" || first == "+OK" { return .pass("Redis", "\(place) answers") }
    if first.hasPrefix("-NOAUTH") || first.hasPrefix("-WRONGPASS") || first.hasPrefix("-ERR") {
      return .fail(
        "Redis", "\(place) refuses: \(first.dropFirst())",
        "put the user and password into streaming.redis.url")
    }
    return .fail("Redis", "what answers at \(place) is not Redis: \(quoted(first))", "correct the URL")
  }
}
