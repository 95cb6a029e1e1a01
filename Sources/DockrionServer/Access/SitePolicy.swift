import DockrionCore
import DockrionLoop

/// Which hosts the server answers for, and from which sites a browser may start agents.
///
/// A page can make a browser send a `POST` anywhere without asking first, with a body whose type it leaves open. It
/// cannot choose `Origin` and `Sec-Fetch-Site` (the Fetch standard): programs that are no browsers send neither.
struct SitePolicy {
  private let hosts: AllowedHosts
  private let cors: CORSPolicy?

  init(_ expose: Dockfile.Expose, _ cors: CORSPolicy?) {
    hosts = expose.allowedHosts
    self.cors = cors
  }

  /// Refuses a request for a host that is not this server's. Probes ask by address, so they are left out.
  func checkHost(_ exchange: Exchange) throws(ErrorReply) {
    if hosts.isEmpty { return }
    let host = exchange.authority
    if let host, hosts.allows(host) { return }
    if exchange.path == "/health" || exchange.path == "/ready" { return }
    throw ErrorReply(
      421, "WRONG_HOST",
      "Host: \(host.map { quoted($0) } ?? "it is missing, and") is none of this server")
  }

  /// Refuses a start of an agent that a page of another site has sent.
  func checkOrigin(_ exchange: Exchange) throws(ErrorReply) {
    let (origin, site) = exchange.readProvenance()
    guard let origin else {
      guard site == "cross-site" else { return }
      throw ErrorReply(
        403, "ORIGIN_NOT_ALLOWED", "Sec-Fetch-Site: a page of another site may not start agents here")
    }
    // The browser itself says that the page is this server's, whatever a proxy has made of the host, or of an origin
    // that it keeps to itself ("null"). A neighbour of the same site ("same-site") may be somebody else's page.
    if site == "same-origin" { return }
    if cors?.allows(origin) == true || Self.isOwn(origin, host: exchange.authority) { return }
    throw ErrorReply(
      403, "ORIGIN_NOT_ALLOWED",
      "Origin: \(quoted(origin)) is neither this host nor one that expose.cors allows")
  }

  /// True when a page of that origin has the host and port that were asked for. The scheme may differ: a proxy takes
  /// the encryption away.
  static func isOwn(_ origin: String, host: String?) -> Bool {
    guard let host, let separator = origin.firstRange(of: "://") else { return false }
    let ownPort =
      switch origin[..<separator.lowerBound].lowercased() {
      case "http": ":80"
      case "https": ":443"
      default: ""
      }
    func withoutPort(_ authority: some StringProtocol) -> String {
      let text = authority.lowercased()
      return !ownPort.isEmpty && text.hasSuffix(ownPort) ? String(text.dropLast(ownPort.count)) : text
    }
    return !ownPort.isEmpty && withoutPort(origin[separator.upperBound...]) == withoutPort(host)
  }
}
