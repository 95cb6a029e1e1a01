import Foundation
import Testing

@testable import DockrionCLI
@testable import DockrionProgram

struct DoctorTests {
  /// The verdict and the text of each line that begins a check.
  private func verdicts(_ out: String) -> [String: String] {
    var verdicts: [String: String] = [:]
    for line in out.split(separator: "\n") where !line.hasPrefix(" ") {
      verdicts[String(line.dropFirst(6).prefix(11)).trimmingCharacters(in: .whitespaces)] = String(
        line.prefix(4))
    }
    return verdicts
  }

  @Test func passesWhatIsGood() throws {
    let free = try Listener().port
    let directory = try TemporaryDirectory(
      dockfile: """
        agent: {name: bot, handler: echo}
        expose: {host: 127.0.0.1, port: \(free)}
        runtime: {max_connections: 64}
        auth: {mode: api_key}

        """)
    let result = try dockrion("doctor", in: directory, environment: ["DOCKRION_API_KEY": "a, b"])
    #expect(result.code == 0, "\(result.out)")
    let verdicts = verdicts(result.out)
    #expect(verdicts.count == 6 && Set(verdicts.values) == ["pass"], "\(result.out)")
    #expect(result.out.contains("DOCKRION_API_KEY holds 2"))
    #expect(result.out.contains("127.0.0.1:\(free) is free"))
    #expect(!result.out.contains("Redis"))
  }

  @Test func failsWithWhatToDo() throws {
    let taken = try Listener()
    let directory = try TemporaryDirectory(
      dockfile: """
        agent: {name: bot}
        expose: {host: 127.0.0.1, port: \(taken.port), hots: x}
        auth: {mode: api_key, api_keys: {env_var: NO_SUCH_KEYS}}

        """)
    let result = try Command(["doctor"], in: directory, limit: "ulimit -n 500").finish()
    #expect(result.code == 1)
    let verdicts = verdicts(result.out)
    #expect(verdicts["libraries"] == "pass")
    #expect(verdicts["Dockfile"] == "warn")
    #expect(verdicts["agent"] == "warn")
    #expect(verdicts["API keys"] == "fail")
    #expect(verdicts["address"] == "fail")
    #expect(verdicts["descriptors"] == "warn")
    #expect(result.out.contains("→ export NO_SUCH_KEYS=SOME-SECRET"))
    #expect(result.out.contains("→ stop what listens there"))
    #expect(result.err.contains("2 of 6 checks failed"))
  }

  @Test func aMissingDockfileIsAWarningUnlessItWasNamed() throws {
    let directory = try TemporaryDirectory()
    let expected = try dockrion("doctor", in: directory)
    #expect(verdicts(expected.out)["Dockfile"] == "warn", "\(expected.out)")
    #expect(expected.out.contains("→ dockrion init NAME writes one"))
    let named = try dockrion("doctor", "other.yaml", in: directory)
    #expect(named.code == 1)
    #expect(verdicts(named.out)["Dockfile"] == "fail")
    try directory.write("agent: {name: \"a b\"}\nexpose: {port: 0}\n", to: "bad.yaml")
    let bad = try dockrion("doctor", "bad.yaml", in: directory)
    #expect(bad.code == 1)
    #expect(bad.out.contains("bad.yaml:1:15: agent.name") && bad.out.contains("bad.yaml:2:16: expose.port"))
  }

  private static let redis =
    "agent: {name: a, handler: echo}\nstreaming: {backend: redis, redis: {url: \"${REDIS_URL}\"}}\n"

  @Test(arguments: [
    ("+PONG\r\n", "fail"), ("-NOAUTH Authentication required.\r\n", "fail"), ("HTTP/1.1 400 x\r\n", "fail"),
  ])
  func asksRedisForAPong(reply: String, verdict: String) throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory(dockfile: Self.redis)
    let command = try Command(
      ["doctor"], in: directory, environment: ["REDIS_URL": "redis://127.0.0.1:\(listener.port)"])
    let peer = try listener.accept()
    var bytes = [UInt8](repeating: 0, count: 14)
    #expect(recv(peer.descriptor, &bytes, bytes.count, Int32(MSG_WAITALL)) == 14)
    #expect(String(decoding: bytes, as: UTF8.self) == "*1\r\n$4\r\nPING\r\n")
    try peer.send(reply)
    if reply == "+PONG\r\n" {
      // It goes on to what a server asks for, and shows what is refused.
      #expect(recv(peer.descriptor, &bytes, bytes.count, Int32(MSG_WAITALL)) == 14)
      #expect(String(decoding: bytes, as: UTF8.self) == "*3\r\n$6\r\nSCRIPT")
      try peer.send("-READONLY You can't write against a read only replica.\r\n")
    }
    let result = try command.finish()
    if reply == "+PONG\r\n" {
      #expect(result.out.contains("SCRIPT LOAD: READONLY") && result.out.contains("address of the primary"))
    }
    #expect(verdicts(result.out)["Redis"] == verdict, "\(result.out)")
  }

  @Test func saysThatRedisIsNotThereAndKeepsThePassword() throws {
    let directory = try TemporaryDirectory(dockfile: Self.redis)
    let port = try Listener().port
    let result = try dockrion(
      "doctor", in: directory, environment: ["REDIS_URL": "redis://me:hush@127.0.0.1:\(port)"])
    #expect(result.code == 1)
    #expect(
      result.out.contains("redis://me@127.0.0.1:\(port)/0 does not answer: Connection refused"),
      "\(result.out)")
    #expect(!result.out.contains("hush"))
    let unset = try dockrion("doctor", in: directory)
    #expect(unset.out.contains("streaming.redis.url is missing, or a variable in it is not set"))
  }
}
