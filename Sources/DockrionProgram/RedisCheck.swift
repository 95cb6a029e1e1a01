import DockrionCore
import Foundation
import Yams

/// Whether the Redis that a Dockfile asks for answers a PING.
enum RedisCheck {
  static let timeoutSeconds = 3
  /// What messages show as a right one.
  private static let exampleURL = "${REDIS_URL:-redis://127.0.0.1:6379}"

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
        "write url: \(Self.exampleURL)")
    }
    return check(url)
  }

  /// The URL itself is never shown whole: it may hold a password.
  static func check(_ text: String) -> Finding {
    let url: RedisURL
    do { url = try RedisURL(text) } catch {
      return .fail("Redis", "streaming.redis.url: \(error)", "write url: \(Self.exampleURL)")
    }
    do {
      let reply =
        switch url.place {
        case .unix(let path): try SocketProbe.ask(unixSocket: path, commands(url), seconds: timeoutSeconds)
        case .tcp(let host, let port):
          try SocketProbe.ask(host: host, port: port, commands(url), seconds: timeoutSeconds)
        }
      return verdict(reply, "\(url)")
    } catch {
      return .fail(
        "Redis", "\(url) does not answer: \(error)", "start Redis there, or correct streaming.redis.url")
    }
  }

  /// `AUTH`, where the URL has a password, and `PING`, in Redis' own protocol.
  private static func commands(_ url: RedisURL) -> String {
    func command(_ words: [String]) -> String {
      "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
    }
    guard let password = url.password else { return command(["PING"]) }
    return command(["AUTH"] + [url.user, password].compactMap(\.self)) + command(["PING"])
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
