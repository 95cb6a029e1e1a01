import Foundation

extension DockfileReader {
  func expose() -> Dockfile.Expose {
    let section = top.section(
      "expose",
      known: ["rest", "streaming", "host", "port", "unix_socket", "cors", "allowed_hosts", "trusted_proxies"])
    var expose = Dockfile.Expose()
    expose.rest = section.bool("rest", default: expose.rest)
    expose.streaming = streamingMode(in: section, default: expose.streaming)
    if let host = section.text("host") {
      if host == "localhost" || Self.isAddress(host) {
        expose.host = host
      } else {
        section.error(
          "host", "\(quoted(host)) is no address to listen on; use an IPv4 or IPv6 address or \"localhost\"")
      }
    }
    expose.port = section.int("port", 1...65_535, default: expose.port)
    expose.unixSocket = unixSocket(in: section)
    expose.cors = cors(in: section)
    expose.allowedHosts = allowedHosts(in: section)
    expose.trustedProxies = trustedProxies(in: section)
    return expose
  }

  private func streamingMode(in section: ConfigSection, default fallback: Bool) -> Bool {
    guard let node = section.given("streaming") else { return fallback }
    if let flag = node.flag { return flag }
    switch node.text {
    case "sse": return true
    case "none": return false
    case "websocket":
      section.error(
        "streaming", "\"websocket\" is not available: this server streams Server-Sent Events only; use sse")
    default: section.error("streaming", "\(node.shown) is no way to stream; use sse or none")
    }
    return fallback
  }

  private static func isAddress(_ host: String) -> Bool {
    var buffer = in6_addr()
    return inet_pton(AF_INET, host, &buffer) == 1 || inet_pton(AF_INET6, host, &buffer) == 1
  }

  private func unixSocket(in section: ConfigSection) -> String? {
    guard let path = section.word("unix_socket") else { return nil }
    // sun_path holds 108 bytes, the last of them zero.
    guard path.utf8.count <= 107 else {
      section.error(
        "unix_socket", "\(quoted(path)) has \(path.utf8.count) bytes; a socket's path has at most 107")
      return nil
    }
    if section.given("port") != nil {
      section.warn("port", "the port has no effect: unix_socket is given, and the server listens there")
    }
    return path
  }

  private func allowedHosts(in section: ConfigSection) -> AllowedHosts {
    var hosts = AllowedHosts()
    guard let node = section.given("allowed_hosts") else { return hosts }
    var elements = [node]
    if case .sequence(let list) = node.content { elements = list }
    for element in elements where !element.isBroken {
      guard let text = element.text, hosts.add(text) else {
        issues.error(
          "expose.allowed_hosts", at: element.place,
          "\(element.shown) is no host; use a name or an address, such as agents.example.com, *.example.com or "
            + "10.0.0.7:8080, without a scheme")
        continue
      }
    }
    return hosts
  }

  private func trustedProxies(in section: ConfigSection) -> TrustedProxies {
    var proxies = TrustedProxies()
    guard let node = section.given("trusted_proxies") else { return proxies }
    var elements = [node]
    if case .sequence(let list) = node.content { elements = list }
    for element in elements where !element.isBroken {
      guard let text = element.text, proxies.add(text) else {
        issues.error(
          "expose.trusted_proxies", at: element.place,
          "\(element.shown) is no proxy; use an IP address, a network such as 10.0.0.0/8, or unix")
        continue
      }
    }
    return proxies
  }

  private func cors(in section: ConfigSection) -> Dockfile.CORS? {
    guard let node = section.given("cors") else { return nil }
    if let flag = node.flag { return flag ? Dockfile.CORS(origins: ["*"]) : nil }
    switch node.content {
    case .scalar, .sequence: return origins(node, field: "expose.cors")
    case .mapping:
      let inner = section.section("cors", known: ["origins"], unused: ["methods"])
      guard let origins = inner["origins"], !origins.isNull else {
        inner.error("origins", "the origins are missing; name them, or \"*\" for any")
        return nil
      }
      return self.origins(origins, field: "expose.cors.origins")
    case .null, .broken: return nil
    }
  }

  private func origins(_ node: ConfigNode, field: String) -> Dockfile.CORS? {
    var elements = [node]
    if case .sequence(let list) = node.content { elements = list }
    var origins: [String] = []
    for element in elements where !element.isBroken {
      guard let text = element.text, let origin = Self.origin(text) else {
        issues.error(
          field, at: element.place,
          "\(element.shown) is no origin; use \"*\" or scheme://host[:port] without a path, in full")
        continue
      }
      if !origins.contains(origin) { origins.append(origin) }
    }
    if origins.contains("*"), origins.count > 1 {
      issues.error(field, at: node.place, "\"*\" means any origin and stands alone, not beside others")
    }
    return origins.isEmpty ? nil : Dockfile.CORS(origins: origins)
  }

  /// The origin in the form in which browsers send it (RFC 6454, section 6.2): lower case, and without the
  /// scheme's own port. Nil for what is none.
  private static func origin(_ text: String) -> String? {
    if text == "*" { return text }
    let text = text.lowercased()
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), let colon = text.firstRange(of: "://") else {
      return nil
    }
    let scheme = text[..<colon.lowerBound]
    let rest = text[colon.upperBound...]
    guard let first = scheme.first, first.isLetter,
      scheme.allSatisfy({ $0.isLetter || $0.isNumber || "+-.".contains($0) })
    else { return nil }
    var host = rest
    var port: Substring?
    if rest.hasPrefix("[") {
      guard let end = rest.firstIndex(of: "]"), isAddress(String(rest[..<end].dropFirst())) else {
        return nil
      }
      host = rest[...end]
    } else {
      host = rest.prefix { $0 != ":" }
      guard !host.isEmpty, host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else {
        return nil
      }
    }
    let tail = rest[host.endIndex...]
    if !tail.isEmpty {
      let digits = tail.dropFirst()
      guard tail.hasPrefix(":"), let number = Int(digits), 1...65_535 ~= number, digits.first != "+"
      else { return nil }
      let isDefault = (scheme == "http" && number == 80) || (scheme == "https" && number == 443)
      port = isDefault ? nil : Substring(String(number))
    }
    return "\(scheme)://\(host)" + (port.map { ":\($0)" } ?? "")
  }
}
