import DockrionCore
import DockrionLoop
import Glibc

/// Who may call: section 7 of the wire protocol.
struct APIKeys {
  private let keys: [[UInt8]]
  private let header: String
  private let allowBearer: Bool
  let isEnabled: Bool

  /// - Throws: `ServerError` when keys are asked for and the environment has none.
  init(_ dockfile: Dockfile) throws(ServerError) {
    switch dockfile.auth {
    case .none:
      (keys, header, allowBearer, isEnabled) = ([], "", false, false)
    case .apiKey(let variable, let header, let allowBearer):
      let value = getenv(variable).map { String(cString: $0) } ?? ""
      if let problem = dockfile.missingKeys(in: [variable: value]) {
        throw ServerError(.missingAPIKey, "\(problem)")
      }
      keys = Dockfile.keys(value).map { Array($0.utf8) }
      (self.header, self.allowBearer, isEnabled) = (header, allowBearer, true)
    }
  }

  /// Who asks; refuses a request without a valid key, and one whose key comes twice: of two, another reader may have taken the
  /// other. `X-API-Key` and `Authorization` are held to one by `RequestHead`.
  func principal(of exchange: Exchange) throws(ErrorReply) -> Principal {
    guard isEnabled else { return .anonymous }
    var given: String?
    switch exchange.onlyHeader(named: header) {
    case .none: break
    case .one(let value): given = value
    case .several:
      throw ErrorReply(400, "VALIDATION_ERROR", "\(header): this header comes more than once")
    }
    if given == nil, allowBearer, let value = exchange.header("Authorization") {
      let parts = value.split(separator: " ", maxSplits: 1)
      if parts.count == 2, parts[0].lowercased() == "bearer" { given = trimmed(parts[1]) }
    }
    guard let given else {
      let how = allowBearer ? "\(header) or Authorization: Bearer" : header
      throw refusal("an API key is required, in the header \(how)")
    }
    if !isKnown(Array(given.utf8)) { throw refusal("the API key is not valid") }
    return .apiKey
  }

  private func refusal(_ message: String) -> ErrorReply {
    var reply = ErrorReply(401, "AUTH_ERROR", message)
    reply.headers.append(("WWW-Authenticate", "Bearer"))
    return reply
  }

  /// Takes the same time whichever key it is and wherever they differ; only lengths can show.
  private func isKnown(_ given: [UInt8]) -> Bool {
    var found: UInt8 = 0
    for key in keys {
      var difference: UInt8 = key.count == given.count ? 0 : 1
      for index in key.indices {
        difference |= key[index] ^ (given.isEmpty ? ~key[index] : given[index % given.count])
      }
      found |= difference == 0 ? 1 : 0
    }
    return found != 0
  }
}

private func trimmed(_ text: some StringProtocol) -> String {
  var rest = Substring(text)
  while rest.first == " " || rest.first == "\t" { rest.removeFirst() }
  while rest.last == " " || rest.last == "\t" { rest.removeLast() }
  return String(rest)
}
