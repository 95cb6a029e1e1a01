/// `expose.allowed_hosts`: the names under which a server answers; without any, all of them.
///
///     var hosts = AllowedHosts()
///     hosts.add("agents.example.com")       // with any port
///     hosts.add("*.example.org:8443")       // every name below, with this port alone
///     hosts.allows("Agents.example.com:80") // true
public struct AllowedHosts: Sendable, Equatable {
  private struct Entry: Sendable, Equatable {
    var host: String
    var port: Int?
    /// True for `*.` and a name: `host` is then what other names end with, its dot included.
    var isDomain = false
  }

  private var entries: [Entry] = []

  public init() {}

  /// True when every host is allowed.
  public var isEmpty: Bool { entries.isEmpty }

  /// Adds a host name or address, or `*.` and a name for all names below it, with a port or without; false for
  /// anything else.
  public mutating func add(_ text: String) -> Bool {
    let isDomain = text.hasPrefix("*.")
    guard let (host, port) = Self.parts(isDomain ? String(text.dropFirst(2)) : text) else { return false }
    if isDomain, host.hasPrefix("[") || host.hasPrefix(".") { return false }
    entries.append(Entry(host: isDomain ? "." + host : host, port: port, isDomain: isDomain))
    return true
  }

  /// True for the value of a `Host` header that names one of the hosts.
  public func allows(_ authority: String) -> Bool {
    if isEmpty { return true }
    guard let (host, port) = Self.parts(authority) else { return false }
    return entries.contains { entry in
      (entry.port == nil || entry.port == port)
        && (entry.isDomain ? host.hasSuffix(entry.host) && host.count > entry.host.count : host == entry.host)
    }
  }

  /// The hosts as they were added, in lower case.
  public var words: [String] {
    entries.map { ($0.isDomain ? "*" : "") + $0.host + ($0.port.map { ":\($0)" } ?? "") }
  }

  /// `host [":" port]` (RFC 9110, section 7.2), in lower case.
  private static func parts(_ text: String) -> (host: String, port: Int?)? {
    let text = text.lowercased()
    let host: Substring
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[...end]
      guard host.dropFirst().dropLast().utf8.allSatisfy({ isHexDigit($0) || $0 == 0x3A || $0 == 0x2E }) else {
        return nil
      }
    } else {
      host = text.prefix { $0 != ":" }
      guard host.utf8.allSatisfy(isNameByte) else { return nil }
    }
    guard !host.isEmpty, host != "[]" else { return nil }
    let tail = text[host.endIndex...].utf8
    if tail.isEmpty { return (String(host), nil) }
    let digits = tail.dropFirst()
    // A port may be empty (RFC 3986, section 3.2.3).
    if tail.elementsEqual(":".utf8) { return (String(host), nil) }
    guard tail.first == UInt8(ascii: ":"), digits.allSatisfy(ASCII.isDigit),
      let port = Int(String(Substring(digits))), 1...65_535 ~= port
    else { return nil }
    return (String(host), port)
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || [0x2D, 0x2E, 0x5F].contains(byte)
  }
}
