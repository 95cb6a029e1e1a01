import Foundation
import Testing

/// A program of one's own: `SupportBotExample` is one.
struct ProgramTests {
  private static let dockfile = "agent: {name: support-bot}\nruntime: {shutdown_grace_seconds: 0}\n"

  private func supportBot(_ arguments: String..., in directory: TemporaryDirectory) throws
    -> Command.Result
  {
    try Command(arguments, in: directory, program: "SupportBotExample").finish()
  }

  @Test(arguments: [
    ["--host", "127.0.0.1", "--port", "0"], ["run", "--host", "127.0.0.1", "--port", "0"],
  ])
  func servesItsOwnAgentWithAndWithoutTheCommand(arguments: [String]) throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile)
    let server = try Command(arguments, in: directory, program: "SupportBotExample")
    let serves = eventually(within: 20) {
      server.out.contains("serves support-bot at http://127.0.0.1:")
    }
    #expect(serves, "\(server.err)")
    let port = try #require(server.out.firstMatch(of: /127\.0\.0\.1:(\d+)/).flatMap { Int($0.1) })
    let reply = try dockrion(
      "invoke", "--url", "http://127.0.0.1:\(port)", "-p", #"{"question":"invoice?"}"#,
      in: directory)
    #expect(
      reply.out
        == #"{"answer":"Invoices are sent on the first of each month.","handed_over":false}"# + "\n"
    )
    server.signal(SIGTERM)
    #expect(try server.finish().code == 0)
  }

  @Test func aTakenPortIsASentenceAndExitCode1() throws {
    let taken = try Listener()
    let directory = try TemporaryDirectory(dockfile: Self.dockfile)
    let result = try supportBot("--host", "127.0.0.1", "--port", "\(taken.port)", in: directory)
    #expect(result.code == 1 && result.out.isEmpty)
    #expect(result.err.split(separator: "\n").count == 1)
    #expect(
      result.err.hasPrefix(
        "SupportBotExample: cannot listen on 127.0.0.1:\(taken.port): Address already in use"))
    #expect(result.err.contains("--port"))
  }

  @Test func testsItsOwnAgent() throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile)
    let result = try supportBot("test", "-p", #"{"question":"password"}"#, in: directory)
    #expect(result.code == 0, "\(result.err)")
    #expect(
      result.out.contains(
        "2    progress   50% searching\n3    matched    {\"topic\":\"password\"}\n"))
    let refused = try supportBot("test", "-p", "{}", in: directory)
    #expect(
      refused.code == 1
        && refused.err.contains("the payload does not fit what support-bot takes: /question"))
  }

  @Test func validatesAgainstItsOwnAgents() throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile)
    let good = try supportBot("validate", in: directory)
    #expect(good.code == 0)
    #expect(good.out.contains("  handler    support-bot (of this program)\n"), "\(good.out)")
    #expect(
      try dockrion("validate", in: directory).out.contains(
        "support-bot (for a program that registers it)"))
    try directory.write("agent: {name: suport-bot}\n", to: "other.yaml")
    let bad = try supportBot("validate", "other.yaml", in: directory)
    #expect(bad.code == 1)
    #expect(
      bad.err.contains("other.yaml:1:15: error: agent.name: \"suport-bot\" is not registered"),
      "\(bad.err)")
    #expect(bad.err.contains("did you mean support-bot?"))
  }

  @Test func itsDoctorKnowsItsAgents() throws {
    let free = try Listener().port
    let directory = try TemporaryDirectory(
      dockfile: Self.dockfile + "expose: {host: 127.0.0.1, port: \(free)}\n")
    let result = try supportBot("doctor", in: directory)
    #expect(result.out.contains("pass  agent       support-bot is this program's"), "\(result.out)")
    #expect(result.code == 0)
  }

  @Test func helpAndWrongUsageNameTheProgram() throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile)
    let help = try supportBot("--help", in: directory)
    #expect(help.code == 0 && help.out.contains("USAGE: SupportBotExample"), "\(help.out)")
    #expect(help.out.contains("Serves support-bot"))
    let command = try supportBot("test", "--help", in: directory)
    #expect(command.out.replacing("\n", with: " ").contains("Example: SupportBotExample test"))
    let mistyped = try supportBot("vaildate", in: directory)
    #expect(
      mistyped.code == 1 && mistyped.err.contains("did you mean the command validate?"),
      "\(mistyped.err)")
    #expect(try supportBot("--frobnicate", in: directory).code == 2)
    #expect(try supportBot("--version", in: directory).out == "0.1.0\n")
  }
}
