import Testing

@testable import DockrionCore

@Suite struct TrustedProxiesTests {
  private func client(_ trusted: [String], peer: String, _ forwardedFor: String?) throws -> String {
    try #require(TrustedProxies(trusted)).client(peer: peer, forwardedFor: forwardedFor)
  }

  @Test func nobodyIsTrustedByDefault() throws {
    #expect(try client([], peer: "10.0.0.1", "192.0.2.1") == "10.0.0.1")
    #expect(try client([], peer: "unix", "192.0.2.1") == "unix")
    #expect(try readSection("expose: {port: 80}").expose.trustedProxies.isEmpty)
  }

  @Test func aTrustedPeerNamesTheClient() throws {
    #expect(try client(["10.0.0.1"], peer: "10.0.0.1", "192.0.2.1") == "192.0.2.1")
    #expect(try client(["unix"], peer: "unix", "192.0.2.1") == "192.0.2.1")
    #expect(try client(["10.0.0.1"], peer: "10.0.0.1", nil) == "10.0.0.1")
    #expect(try client(["10.0.0.1"], peer: "10.0.0.2", "192.0.2.1") == "10.0.0.2")
  }

  @Test func whatStandsBeforeTheLastStrangerIsNotBelieved() throws {
    let trusted = ["10.0.0.0/8", "2001:db8::/32"]
    #expect(try client(trusted, peer: "10.0.0.1", "1.1.1.1, 192.0.2.1, 10.9.9.9") == "192.0.2.1")
    #expect(try client(trusted, peer: "10.0.0.1", "1.1.1.1,192.0.2.1 ,2001:db8::5") == "192.0.2.1")
    #expect(try client(trusted, peer: "10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3")
    #expect(try client(trusted, peer: "10.0.0.1", "192.0.2.1, evil\u{1B}[2J, 10.0.0.2") == "10.0.0.2")
    #expect(try client(trusted, peer: "10.0.0.1", "") == "10.0.0.1")
  }

  @Test func networksEndWhereTheirBitsDo() throws {
    #expect(try client(["10.1.2.0/23"], peer: "10.1.3.255", "192.0.2.1") == "192.0.2.1")
    #expect(try client(["10.1.2.0/23"], peer: "10.1.4.0", "192.0.2.1") == "10.1.4.0")
    #expect(try client(["0.0.0.0/0"], peer: "203.0.113.9", "::1") == "::1")
    #expect(try client(["0.0.0.0/0"], peer: "2001:db8::1", "192.0.2.1") == "2001:db8::1")
    #expect(try client(["10.0.0.1"], peer: "::ffff:10.0.0.1", "192.0.2.1") == "192.0.2.1")
  }

  @Test func theKeyTakesOneOrAList() throws {
    #expect(
      try readSection("expose: {trusted_proxies: unix}").expose.trustedProxies == TrustedProxies(["unix"]))
    #expect(
      try readSection("expose: {trusted_proxies: [127.0.0.1, '::1/128']}").expose.trustedProxies
        == TrustedProxies(["127.0.0.1", "::1/128"]))
  }

  @Test(arguments: [
    "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "nginx", "10.0.0.0/8/8", "Unix",
  ])
  func anythingElseIsAnError(_ text: String) {
    #expect(
      sectionErrors("expose:\n  trusted_proxies: ['\(text)']") == [
        "D:3:21: expose.trusted_proxies: \"\(text)\" is no proxy; "
          + "use an IP address, a network such as 10.0.0.0/8, or unix"
      ])
  }
}
