/// Where clients reach a server. Its description is a URL such as `http://127.0.0.1:8080`, or `unix:/run/d.sock`.
public struct ServerAddress: Sendable, Hashable, CustomStringConvertible {
  public let description: String
  /// The TCP port, also where the Dockfile asked for any; nil for a Unix socket.
  public let port: Int?
}
