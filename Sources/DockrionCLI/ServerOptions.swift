import ArgumentParser
import DockrionCore
import DockrionProgram
import Foundation

/// How the client commands reach a server.
struct ServerOptions: ParsableArguments {
  @Option(help: "The server. (default: DOCKRION_URL, else http://127.0.0.1:8080)")
  var url: String?

  @Option(help: "The API key, where the server asks for one. (default: DOCKRION_API_KEY)")
  var apiKey: String?

  @Option(
    help: ArgumentHelp(
      "Which of the server's agents; its routes without a prefix otherwise.", valueName: "name"))
  var agent: String?

  static let defaultURL = "http://127.0.0.1:8080"

  func validate() throws {
    _ = try base()
    _ = try key()
    if let agent, let problem = DockfileTemplate.problem(withName: agent) {
      throw ValidationError("--agent: \(problem)")
    }
  }

  /// - Throws: `ValidationError` for what cannot stand in a request's head.
  private func key() throws -> String? {
    let source = apiKey != nil ? "--api-key" : "DOCKRION_API_KEY"
    guard let key = apiKey ?? ProcessInfo.processInfo.environment["DOCKRION_API_KEY"], !key.isEmpty else {
      return nil
    }
    guard !key.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw ValidationError(
        "\(source): the key has a control character in it, such as a line end; write the key alone")
    }
    return key
  }

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
  ) throws -> HTTPRequest {
    var parts = try base()
    parts.path =
      (parts.path.hasSuffix("/") ? String(parts.path.dropLast()) : parts.path)
      + (agent.map { "/agents/\($0)" } ?? "") + path
    let items = query.compactMap { name, value in value.map { URLQueryItem(name: name, value: $0) } }
    if !items.isEmpty { parts.queryItems = items }
    guard let url = parts.url else { throw CommandError("\(path): no URL can be made of this") }
    var request = HTTPRequest(method, url, idleSeconds: idleSeconds)
    if let key = try key() {
      // Whichever of the two the server's Dockfile has kept.
      request.fields.append(("X-API-Key", key))
      request.fields.append(("Authorization", "Bearer \(key)"))
    }
    return request
  }

  /// A request with a JSON payload.
  func post(_ path: String, _ payload: String, query: [(String, String?)] = []) throws -> HTTPRequest {
    // An agent may take a day before it has an answer.
    var request = try request("POST", path, query: query, idleSeconds: 90_000)
    request.fields.append(("Content-Type", "application/json"))
    request.body = Array(payload.utf8)
    return request
  }

  /// Sends a request and reads the whole reply.
  func send(_ request: HTTPRequest) throws -> HTTPReply { try HTTPReply(HTTPExchange(request)) }
}
