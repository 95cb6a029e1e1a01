import ArgumentParser
import DockrionCore
import Foundation
import FoundationNetworking

/// How the client commands reach a server.
struct ServerOptions: ParsableArguments {
  @Option(help: "The server. (default: DOCKRION_URL, else http://127.0.0.1:8080)")
  var url: String?

  @Option(help: "The API key, where the server asks for one. (default: DOCKRION_API_KEY)")
  var apiKey: String?

  static let defaultURL = "http://127.0.0.1:8080"

  func validate() throws { _ = try base() }

  /// - Throws: `ValidationError` for what is no server's URL.
  private func base() throws -> URLComponents {
    let environment = ProcessInfo.processInfo.environment["DOCKRION_URL"].flatMap { $0.isEmpty ? nil : $0 }
    let text = url ?? environment ?? Self.defaultURL
    let source = url != nil ? "--url" : "DOCKRION_URL"
    if text.hasPrefix("unix:") {
      throw ValidationError(
        "\(source): \(quoted(text)) is a Unix socket, which this client cannot use; "
          + "try curl --unix-socket, or a server on TCP")
    }
    guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty,
      parts.scheme == "http" || parts.scheme == "https", parts.query == nil, parts.fragment == nil
    else {
      throw ValidationError("\(source): \(quoted(text)) is no server's URL, such as \(Self.defaultURL)")
    }
    return parts
  }

  /// A request to one of the server's routes.
  func request(
    _ method: String, _ path: String, query: [(String, String?)] = [], idleSeconds: Double
  ) throws -> URLRequest {
    var parts = try base()
    parts.path = (parts.path.hasSuffix("/") ? String(parts.path.dropLast()) : parts.path) + path
    let items = query.compactMap { name, value in value.map { URLQueryItem(name: name, value: $0) } }
    if !items.isEmpty { parts.queryItems = items }
    guard let url = parts.url else { throw CommandError("\(path): no URL can be made of this") }
    var request = URLRequest(url: url, timeoutInterval: idleSeconds)
    request.httpMethod = method
    if let key = apiKey ?? ProcessInfo.processInfo.environment["DOCKRION_API_KEY"], !key.isEmpty {
      // Whichever of the two the server's Dockfile has kept.
      request.setValue(key, forHTTPHeaderField: "X-API-Key")
      request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization")
    }
    return request
  }

  /// A request with a JSON payload.
  func post(_ path: String, _ payload: String, query: [(String, String?)] = []) throws -> URLRequest {
    // An agent may take a day before it has an answer.
    var request = try request("POST", path, query: query, idleSeconds: 90_000)
    request.setValue("application/json", forHTTPHeaderField: "Content-Type")
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    request.httpBody = Data(payload.utf8)
    return request
  }

  /// Sends a request and reads the whole reply.
  func send(_ request: URLRequest) throws -> HTTPReply {
    let exchange = HTTPExchange(request)
    let status = try exchange.status()
    var body: [UInt8] = []
    while let bytes = try exchange.bytes() { body += bytes }
    return HTTPReply(status: status, body: body)
  }
}

/// A whole reply.
struct HTTPReply {
  let status: Int
  let body: [UInt8]

  /// The reply's JSON object.
  func object() throws(CommandError) -> JSONObject {
    do { return try JSONObject(parsing: String(decoding: body, as: UTF8.self)) } catch {
      throw CommandError("the reply with status \(status) is no JSON object: is this a Dockrion server?")
    }
  }

  /// The server's own sentence about why it refused.
  var problem: String {
    guard let reply = try? JSONObject(parsing: String(decoding: body, as: UTF8.self)),
      let sentence = reply["error"]?.string
    else { return "the server answered with status \(status)" }
    return "\(status) \(reply["code"]?.string ?? ""): \(Terminal.harmless(sentence))"
  }

  /// - Throws: the server's sentence, unless it answered with that status.
  func expect(_ expected: Int) throws(CommandError) {
    if status != expected { throw CommandError(problem) }
  }
}

/// What keeps a client from its server: nobody listens, or the connection broke.
struct ConnectionProblem: Error, CustomStringConvertible {
  let description: String
}

extension ConnectionProblem {
  /// For a person whose very first attempt failed.
  func explained(_ request: URLRequest) -> CommandError {
    let place = request.url.map { "\($0.scheme ?? "")://\($0.host ?? "")\($0.port.map { ":\($0)" } ?? "")" }
    return CommandError("\(place ?? "the server"): \(description); does a server run there? See --url")
  }
}
