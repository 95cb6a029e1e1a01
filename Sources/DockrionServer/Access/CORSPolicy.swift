import DockrionCore
import DockrionLoop

/// `expose.cors`: which pages of other origins may call, and what they may send (the Fetch standard).
struct CORSPolicy {
  private let origins: Set<String>
  private let anyOrigin: Bool
  private let allowedHeaders: String

  init(_ cors: Dockfile.CORS, _ auth: Dockfile.Auth) {
    origins = Set(cors.origins)
    anyOrigin = cors.origins.contains("*")
    var headers = ["Content-Type", "Authorization", "Last-Event-ID", "Idempotency-Key", "X-Request-Id"]
    if case .apiKey(_, let header, _) = auth { headers.append(header) }
    allowedHeaders = headers.joined(separator: ", ")
  }

  func allows(_ origin: String) -> Bool { anyOrigin || origins.contains(origin) }

  /// Headers of any reply to that request.
  func headers(_ exchange: Exchange) -> [(String, String)] {
    guard let origin = exchange.header("Origin") else { return anyOrigin ? [] : [("Vary", "Origin")] }
    guard allows(origin) else { return [("Vary", "Origin")] }
    var headers = [
      ("Access-Control-Allow-Origin", anyOrigin ? "*" : origin),
      ("Access-Control-Expose-Headers", "Location, Retry-After, X-Request-Id"),
    ]
    if !anyOrigin { headers.append(("Vary", "Origin")) }
    return headers
  }

  /// What a preflight is told besides.
  func preflight(_ exchange: Exchange, allow: String) -> [(String, String)] {
    guard let origin = exchange.header("Origin"), allows(origin),
      exchange.header("Access-Control-Request-Method") != nil
    else { return [] }
    return [
      ("Access-Control-Allow-Methods", allow), ("Access-Control-Allow-Headers", allowedHeaders),
      ("Access-Control-Max-Age", "86400"),
    ]
  }
}
