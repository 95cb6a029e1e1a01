import Testing

@testable import DockrionCore

@Suite struct AllowedHostsTests {
  private func allows(_ words: [String], _ host: String) throws -> Bool {
    var hosts = AllowedHosts()
    let taken = words.filter { hosts.add($0) }
    try #require(taken == words)
    return hosts.allows(host)
  }

  @Test func withoutAnyEveryHostIsAllowed() throws {
    #expect(try allows([], "a.example") && allows([], ""))
    #expect(try readSection("expose: {port: 80}").expose.allowedHosts.isEmpty)
  }

  @Test func aNameIsTakenWithAnyPortAndInAnyCase() throws {
    for host in ["a.example", "A.Example", "a.example:8080", "a.example:443", "a.example:"] {
      #expect(try allows(["A.example"], host), "\(host)")
    }
    for host in [
      "b.example", "xa.example", "a.example.org", "a.example:0", "a.example:x", "", "a b",
    ] {
      #expect(try !allows(["a.example"], host), "\(host)")
    }
  }

  @Test func aPortInTheListIsThatOne() throws {
    #expect(try allows(["a:8080", "b"], "a:8080"))
    #expect(try !allows(["a:8080", "b"], "a:8081"))
    #expect(try !allows(["a:8080"], "a"))
  }

  @Test func aStarTakesEveryNameBelow() throws {
    #expect(try allows(["*.a.example"], "b.a.example:1"))
    #expect(try allows(["*.a.example"], "c.b.a.example"))
    for host in ["a.example", ".a.example", "ba.example"] {
      #expect(try !allows(["*.a.example"], host), "\(host)")
    }
  }

  @Test func addressesAreHostsToo() throws {
    #expect(try allows(["10.0.0.7", "[::1]:80"], "10.0.0.7:8080"))
    #expect(try allows(["[::1]"], "[::1]:8080"))
    #expect(try !allows(["[::1]:80"], "[::1]"))
    #expect(try !allows(["[::1]"], "::1"))
  }

  @Test func theKeyTakesOneOrAList() throws {
    let list = try readSection("expose: {allowed_hosts: [A.example, '*.b:8080', '[::1]']}").expose
      .allowedHosts
    #expect(list.words == ["a.example", "*.b:8080", "[::1]"])
    #expect(try readSection("expose: {allowed_hosts: a}").expose.allowedHosts.words == ["a"])
  }

  @Test(arguments: ["https://a", "a/b", "*", "*.", "a:99999", "a b", "::1", "[::1", "[]", "*.[::1]", ""])
  func whatIsNoHostIsNamed(_ word: String) {
    #expect(
      sectionErrors("expose:\n  allowed_hosts: ['\(word)']") == [
        "D:3:19: expose.allowed_hosts: \"\(word)\" is no host; use a name or an address, such as "
          + "agents.example.com, *.example.com or 10.0.0.7:8080, without a scheme"
      ])
  }
}
