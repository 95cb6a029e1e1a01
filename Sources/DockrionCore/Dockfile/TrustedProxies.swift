import Glibc

/// `expose.trusted_proxies`: whose `X-Forwarded-For` is believed.
///
///     TrustedProxies(["10.0.0.0/8"])?.client(peer: "10.0.0.7", forwardedFor: "192.0.2.1, 10.0.0.9")  // 192.0.2.1
public struct TrustedProxies: Sendable, Equatable {
  private struct Network: Sendable, Equatable {
    var address: [UInt8]
    var bits: Int
  }

  private var networks: [Network] = []
  /// Peers on the Unix socket are trusted.
  private var trustsUnixSocket = false

  /// Nobody.
  public init() {}

  /// Nil where an element is neither an IP address, a network such as `10.0.0.0/8`, nor `unix`.
  public init?(_ texts: [String]) {
    for text in texts { guard add(text) else { return nil } }
  }

  /// False where the text is nothing that can be trusted.
  mutating func add(_ text: String) -> Bool {
    if text == "unix" {
      trustsUnixSocket = true
      return true
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let address = Self.bytes(String(parts[0])), parts.count <= 2 else { return false }
    var bits = address.count * 8
    if parts.count == 2 {
      guard parts[1].allSatisfy(\.isASCII), !parts[1].hasPrefix("+"), let given = Int(parts[1]),
        (0...bits).contains(given)
      else { return false }
      bits = given
    }
    networks.append(Network(address: address, bits: bits))
    return true
  }

  public var isEmpty: Bool { networks.isEmpty && !trustsUnixSocket }

  /// The client's address: the peer's own, or, where the peer is trusted, the last address of `forwardedFor` that is
  /// not. Each proxy appends the address that it saw, so what stands before the last stranger may be invented.
  ///
  /// - Parameters:
  ///   - peer: an IP address, or `unix`.
  ///   - forwardedFor: all `X-Forwarded-For` of the request, joined with commas.
  public func client(peer: String, forwardedFor: String?) -> String {
    guard trusts(peer), let forwardedFor else { return peer }
    var client = peer
    for element in forwardedFor.split(separator: ",").reversed() {
      let text = String(element.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" })
      guard Self.bytes(text) != nil else { break }
      client = text
      if !trusts(text) { break }
    }
    return client
  }

  private func trusts(_ peer: String) -> Bool {
    if peer == "unix" { return trustsUnixSocket }
    guard let address = Self.bytes(peer) else { return false }
    return networks.contains { network in
      guard network.address.count == address.count else { return false }
      let (whole, rest) = network.bits.quotientAndRemainder(dividingBy: 8)
      guard address[..<whole] == network.address[..<whole] else { return false }
      return rest == 0 || (address[whole] ^ network.address[whole]) >> (8 - rest) == 0
    }
  }

  /// An address's 4 or 16 bytes; an IPv4 address in IPv6 is the IPv4 address.
  private static func bytes(_ text: String) -> [UInt8]? {
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 { return withUnsafeBytes(of: &four) { Array($0) } }
    var sixteen = in6_addr()
    guard inet_pton(AF_INET6, text, &sixteen) == 1 else { return nil }
    let bytes = withUnsafeBytes(of: &sixteen) { Array($0) }
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
    return bytes.starts(with: mapped) ? Array(bytes[12...]) : bytes
  }
}
