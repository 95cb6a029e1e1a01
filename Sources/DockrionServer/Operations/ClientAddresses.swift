import DockrionCore
import DockrionLoop

/// Where requests come from, as the log says it.
struct ClientAddresses {
  private let proxies: TrustedProxies
  private let isUnixSocket: Bool

  init(_ expose: Dockfile.Expose) {
    proxies = expose.trustedProxies
    isUnixSocket = expose.unixSocket != nil
  }

  /// Keeps what a trusted proxy said, for a request whose headers will be dropped.
  func keep(_ exchange: Exchange) {
    if exchange.forwardedFor == nil, !proxies.isEmpty { exchange.forwardedFor = exchange.readForwardedFor() }
  }

  /// The client's address.
  func client(of exchange: Exchange) -> String {
    keep(exchange)
    return proxies.client(
      peer: isUnixSocket ? "unix" : exchange.connection.peerAddress, forwardedFor: exchange.forwardedFor)
  }
}
