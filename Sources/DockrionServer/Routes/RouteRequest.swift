import DockrionCore
import DockrionLoop

/// A request that has found its route.
struct RouteRequest {
  let exchange: Exchange
  /// Whose route it is: the one that its prefix names, else the default one.
  let agent: ServedAgent
  /// `/agents/{name}` as it was sent; empty without.
  let prefix: String
  /// The run in the path, percent-encoded as it was sent.
  let encodedRunID: String?
  /// Who asks.
  let principal: Principal

  /// True below `/agents/{name}`, where other agents' runs do not exist.
  var isPrefixed: Bool { !prefix.isEmpty }

  /// The id of the run in the path.
  func runID() throws(ErrorReply) -> String {
    let encoded = encodedRunID ?? ""
    let id = Query.decode(encoded) ?? encoded
    guard id.isClientID else { throw ErrorReply.notAnID("run_id", id) }
    exchange.identity = .run(id)
    return id
  }
}

extension ErrorReply {
  /// - Parameter name: the parameter.
  static func notAnID(_ name: String, _ text: String) -> ErrorReply {
    ErrorReply(
      400, "VALIDATION_ERROR",
      "\(name): \(quoted(text)) is not an id: a letter or digit, then up to 127 letters, digits, _ and -")
  }
}
