import DockrionLoop

/// A reply that says why not: section 2 of the wire protocol.
struct ErrorReply: Error {
  let status: Int
  let code: String
  let message: String
  var headers: [(String, String)] = []
  /// What an agent has to say besides, a JSON object.
  var details: [UInt8]?
  /// Closes the connection afterwards, where the bytes that follow cannot be trusted.
  var closes = false
  /// An agent's own error, which the log has already.
  var isLogged = false

  /// - Parameter retryAfter: seconds for `Retry-After`.
  init(_ status: Int, _ code: String, _ message: String, retryAfter: Int? = nil) {
    self.status = status
    self.code = code
    self.message = message
    if let retryAfter { headers.append(("Retry-After", "\(retryAfter)")) }
  }

  /// The reply to what is no request of HTTP.
  init(_ refusal: FramingRefusal) {
    let code =
      switch refusal.status {
      case 413: "PAYLOAD_TOO_LARGE"
      case 501: "NOT_IMPLEMENTED"
      default: "VALIDATION_ERROR"
      }
    self.init(refusal.status, code, refusal.message)
    closes = true
  }
}
