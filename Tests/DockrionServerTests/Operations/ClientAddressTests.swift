import Foundation
import Testing

@Suite struct ClientAddressTests {
  private static let debug = ["--host", "127.0.0.1", "--log-level", "debug"]

  /// The log's words for the client of one stream that has ended.
  private func loggedClient(
    _ sections: String, headers: [String], arguments: [String] = debug
  ) throws -> String {
    var client = ""
    try withServer(dockfile("echo", sections), arguments: arguments) { server throws in
      let stream = try server.invokeStream(#"{"text":"a"}"#, headers: headers)
      _ = try stream.remainingEvents()
      let logged = eventually(within: 5) {
        client = server.errorOutput.firstMatch(of: /client=(\S+)/).map { String($0.1) } ?? ""
        return !client.isEmpty
      }
      #expect(logged)
    }
    return client
  }

  @Test func forwardedForIsBelievedFromATrustedProxyOnly() throws {
    let headers = ["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.7"]
    #expect(try loggedClient("", headers: headers) == "127.0.0.1")
    #expect(try loggedClient("expose: {trusted_proxies: [10.0.0.0/8]}", headers: headers) == "127.0.0.1")
    #expect(try loggedClient("expose: {trusted_proxies: [127.0.0.0/8]}", headers: headers) == "192.0.2.7")
  }

  @Test func onAUnixSocketTheWordUnixTrusts() throws {
    let path = NSTemporaryDirectory() + "/dockrion-\(UUID().uuidString.prefix(8)).sock"
    let arguments = ["--unix-socket", path, "--log-level", "debug"]
    let headers = ["X-Forwarded-For: 192.0.2.7"]
    #expect(try loggedClient("", headers: headers, arguments: arguments) == "unix")
    #expect(
      try loggedClient("expose: {trusted_proxies: unix}", headers: headers, arguments: arguments)
        == "192.0.2.7")
  }
}
