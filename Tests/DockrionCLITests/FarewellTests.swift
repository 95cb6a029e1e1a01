import Foundation
import Testing

/// Ctrl-C while a run is followed.
struct FarewellTests {
  private static let dockfile =
    "agent: {name: bot, handler: scripted}\nruntime: {shutdown_grace_seconds: 0}\n"

  @Test func saysThatTheRunGoesOnAndHowToComeBack() throws {
    let server = try RunningServer(Self.dockfile)
    let directory = try TemporaryDirectory()
    let first = try Command(
      [
        "invoke", "--url", server.url, "--run", "--run-id", "r1", "-p",
        #"{"tokens":2,"hang":true}"#,
      ], in: directory)
    let came = eventually(within: 20) { first.out.contains("tok1") }
    #expect(came, "\(first.err)")
    first.signal(SIGINT)
    let left = try first.finish()
    #expect(left.code == 130)
    #expect(
      left.err.hasSuffix(
        "run r1 goes on; to come back: dockrion tail r1 --url \(server.url) --from 4\n"),
      "\(left.err)")
    let again = try Command(
      ["tail", "r1", "--from", "4"], in: directory, environment: ["DOCKRION_URL": server.url])
    #expect(try dockrion("cancel", "r1", "--url", server.url, in: directory).code == 0)
    let end = try again.finish()
    #expect(end.code == 1 && end.out.hasPrefix("4    cancelled"), "\(end.out)")
  }

  @Test func namesWhatWasGivenWhereNothingHasCome() throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(
      ["tail", "r2", "--from", "7"], in: directory, environment: ["DOCKRION_URL": listener.url])
    let connection = try listener.accept()
    _ = try connection.request()
    command.signal(SIGINT)
    // Without an answer: a connection that closes would be another reason to end.
    let result = try withExtendedLifetime(connection) { try command.finish() }
    #expect(result.code == 130)
    #expect(result.err == "run r2 goes on; to come back: dockrion tail r2 --from 7\n")
  }
}
