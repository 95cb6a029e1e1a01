/// Who asks; made once a request.
enum Principal: Sendable, Equatable {
  /// Nobody is asked for a key.
  case anonymous
  /// Somebody with one of the server's API keys.
  case apiKey
}
