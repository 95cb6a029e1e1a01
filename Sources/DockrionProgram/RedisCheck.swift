import DockrionCore
import DockrionServer
import Foundation
import Yams

/// Whether the Redis that a Dockfile asks for does what a server will ask of it.
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
    return check(url, prefix: value(streaming["redis"]?["key_prefix"]) ?? "dockrion")
  }

  /// The URL itself is never shown whole: it may hold a password.
  static func check(_ text: String, prefix: String) -> Finding {
    let url: RedisURL
    do { url = try RedisURL(text) } catch {
      return .fail("Redis", "streaming.redis.url: \(error)", "write url: \(Self.exampleURL)")
    }
    let steps = RedisProbe.steps(url, prefix: prefix)
    var asked = 0
    // A script is called by the name that Redis gave it when it was loaded.
    func next(_ reply: String?) -> String? {
      if let reply, !isRedis(reply) || reply.hasPrefix("-") { return nil }
      guard asked < steps.count else { return nil }
      let digest = reply?.split(separator: "\r\n").last.map(String.init) ?? ""
      defer { asked += 1 }
      return command(steps[asked].words.map { $0 == RedisProbe.digest ? digest : $0 })
    }
    do {
      let reply =
        switch url.place {
        case .unix(let path): try SocketProbe.ask(unixSocket: path, seconds: timeoutSeconds, next)
        case .tcp(let host, let port):
          try SocketProbe.ask(host: host, port: port, seconds: timeoutSeconds, next)
        }
      return verdict(reply, to: steps[asked - 1].name, "\(url)")
    } catch {
      return .fail(
        "Redis", "\(url) does not answer: \(error)", "start Redis there, or correct streaming.redis.url")
    }
  }

  /// A command in Redis' own protocol.
  private static func command(_ words: [String]) -> String {
    "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
  }

  private static func isRedis(_ reply: String) -> Bool { reply.first.map { "+-:$*".contains($0) } ?? false }

  private static func verdict(_ reply: String, to command: String, _ place: String) -> Finding {
    let first = reply.split(separator: "\r\n").first.map { Terminal.harmless(String($0)) } ?? ""
    guard isRedis(reply) else {
      return .fail("Redis", "what answers at \(place) is not Redis: \(quoted(first))", "correct the URL")
    }
    guard first.hasPrefix("-") else {
      return .pass("Redis", "\(place) answers, and takes a run, a lease and a subscription")
    }
    let refusal = RedisRefusal(command: command, answer: String(first.dropFirst()))
    return .fail(
      "Redis", "\(place) refuses \(command): \(refusal.answer)\n\(refusal.reason)", refusal.remedy)
  }
}
