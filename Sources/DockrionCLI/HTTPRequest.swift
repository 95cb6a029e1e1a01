import DockrionServer
import Foundation

/// A request of a client command.
struct HTTPRequest {
  let method: String
  let url: URL
  /// Name and value; neither holds a line end.
  var fields: [(name: String, value: String)] = []
  var body: [UInt8]?
  /// Seconds that may pass without a byte of the reply.
  let idleSeconds: Double

  init(_ method: String, _ url: URL, idleSeconds: Double) {
    self.method = method
    self.url = url
    self.idleSeconds = idleSeconds
    // What is compressed would arrive in lumps, and grow by a factor that the sender chooses.
    fields = [("Accept-Encoding", "identity"), ("User-Agent", "dockrion/\(Dockrion.version)")]
  }

  /// Scheme, host and port, for messages.
  var place: String {
    "\(url.scheme ?? "")://\(url.host ?? "")\(url.port.map { ":\($0)" } ?? "")"
  }
}
