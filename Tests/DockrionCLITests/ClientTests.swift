import DockrionCore
import Foundation
import Testing

/// The client commands against real servers, and against listeners that break connections where no server would.
struct ClientTests {
  private static let scripted =
    "agent: {name: bot, handler: scripted}\nruntime: {shutdown_grace_seconds: 0}\n"

  @Test func invokesFollowsListsAndCancels() throws {
    let server = try RunningServer(Self.scripted)
    let directory = try TemporaryDirectory()
    func client(_ arguments: String...) throws -> Command.Result {
      try Command(arguments, in: directory, environment: ["DOCKRION_URL": server.url]).finish()
    }
    #expect(try client("invoke", "-p", #"{"output":{"a":1}}"#).out == "{\"a\":1}\n")
    let streamed = try client("invoke", "--stream", "-p", #"{"tokens":1}"#)
    #expect(streamed.code == 0)
    #expect(
      streamed.out.contains("2    token      \"tok0 \"\n") && streamed.out.hasSuffix("{\"tokens\":1}\n"))
    let started = try client("invoke", "--run", "--run-id", "r1", "-p", #"{"tokens":2}"#)
    #expect(started.code == 0 && started.err == "run r1\n")
    let tailed = try client("tail", "r1", "--from", "3", "--format", "jsonl")
    #expect(tailed.code == 0)
    let sequences = try tailed.out.split(separator: "\n").map {
      try JSONObject(parsing: String($0))["sequence"]?.int
    }
    #expect(sequences == [3, 4])
    let nothing = try client("tail", "r1", "--from", "99")
    #expect(nothing.code == 0 && nothing.out.isEmpty && nothing.err.contains("completed"))
    let failed = try client("invoke", "--run", "--run-id", "r2", "-p", #"{"fail":"no"}"#)
    #expect(failed.code == 1 && failed.out.contains("error      AGENT_ERROR: no"))
    let runs = try client("runs")
    #expect(runs.code == 0)
    #expect(
      runs.out.split(separator: "\n").map { $0.split(separator: " ").prefix(2) } == [
        ["RUN", "STATUS"], ["r2", "failed"], ["r1", "completed"],
      ])
    #expect(try client("runs", "--status", "failed", "--limit", "1").out.contains("r2"))
    let late = try client("cancel", "r1")
    #expect(late.code == 1 && late.err.contains("409 RUN_FINISHED"))
  }

  /// What an agent says of its error besides the sentence is what helps to mend it.
  @Test func theDetailsOfAnErrorAreShown() throws {
    let server = try RunningServer(Self.scripted)
    let directory = try TemporaryDirectory()
    let payload = #"{"tokens":0,"fail":"no text","code":"NO_TEXT","fail_details":{"page":3,"at":"a\u001bb"}}"#
    let details = #"{"page":3,"at":"a\u001bb"}"#
    let whole = try dockrion("invoke", "-p", payload, "--url", server.url, in: directory)
    #expect(whole.code == 1)
    #expect(whole.err == "dockrion: 500 NO_TEXT: no text \(details)\n", "\(whole.err)")
    for flag in ["--stream", "--run"] {
      let result = try dockrion("invoke", flag, "-p", payload, "--url", server.url, in: directory)
      #expect(result.code == 1)
      #expect(result.out.contains("NO_TEXT: no text \(details)\n"), "\(result.out)")
    }
    _ = try dockrion("invoke", "--run", "--run-id", "r", "-p", payload, "--url", server.url, in: directory)
    // Behind its last event the run itself has to tell how it ended.
    let late = try dockrion("tail", "r", "--from", "99", "--url", server.url, in: directory)
    #expect(late.code == 1)
    #expect(late.err.hasSuffix(": failed, NO_TEXT: no text \(details)\n"), "\(late.err)")
  }

  /// An output or the details of an error as deep as they may be keep no list from being read.
  @Test func theDeepestOutputIsReadInEveryReply() throws {
    let server = try RunningServer(Self.scripted)
    let directory = try TemporaryDirectory()
    func client(_ arguments: String...) throws -> Command.Result {
      try Command(arguments, in: directory, environment: ["DOCKRION_URL": server.url]).finish()
    }
    func nested(_ levels: Int) -> String {
      #"{"deep":"# + String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1)
        + "}"
    }
    var deepest = 0
    for levels in [64, 490, 500, 501, 505, 508, 509, 510, 511, 512] {
      let output = #"{"tokens":0,"output":\#(nested(levels - 1))}"#
      let started = try client("invoke", "--run", "-p", output)
      let isTaken = started.code == 0
      if isTaken { deepest = levels } else { #expect(started.err.contains("nested"), "\(started.err)") }
      #expect(try (client("invoke", "-p", output).code == 0) == isTaken)
      #expect(try (client("invoke", "--stream", "-p", output).code == 0) == isTaken)
      let details = #"{"tokens":0,"fail":"no","fail_details":\#(nested(levels - 1))}"#
      for way in ["--run", "--stream"] {
        let failed = try client("invoke", way, "-p", details)
        #expect(failed.out.contains("[[[[") == isTaken, "\(levels): \(failed.err)")
      }
      for format in ["text", "json"] {
        let listed = try client("runs", "--format", format)
        #expect(listed.code == 0, "\(levels): \(listed.err)")
      }
    }
    #expect(deepest == Limits.valueLevelsMax)
  }

  @Test func aCancelledRunEndsItsFollowersWith1() throws {
    let server = try RunningServer(Self.scripted)
    let directory = try TemporaryDirectory()
    let follower = try Command(
      ["invoke", "--run", "--run-id", "slow", "--url", server.url, "-p", #"{"tokens":1,"hang":true}"#],
      in: directory)
    // Events come while the run goes on, not when it is over.
    let came = eventually(within: 20) { follower.out.contains("tok0") }
    #expect(came, "\(follower.err)")
    let cancelled = try dockrion(
      "cancel", "slow", "--reason", "too slow", "--url", server.url, in: directory)
    #expect(cancelled.out == "run slow is cancelled\n")
    let result = try follower.finish()
    #expect(result.code == 1)
    #expect(result.out.hasSuffix("cancelled  too slow\n"))
  }

  @Test func goesOnBehindTheLastEventAfterABreak() throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(
      ["tail", "r", "--from", "2", "--url", listener.url, "--format", "jsonl"], in: directory)
    var peer: Peer? = try listener.accept()
    let first = try #require(try peer?.request())
    #expect(first.hasPrefix("GET /runs/r/events?from_sequence=2 HTTP/1.1\r\n"))
    #expect(!first.lowercased().contains("last-event-id"))
    #expect(first.lowercased().contains("accept-encoding: identity\r\n"))
    try peer?.beginStream()
    try peer?.send(
      "retry: 450\nid: 2\nevent: token\ndata: {\"n\":2}\n\nid: 3\nevent: token\ndata: {\"n\":3}")
    let came = eventually(within: 20) { command.out == "{\"n\":2}\n" }
    #expect(came, "\(command.out)")
    peer = nil

    // A proxy in between has nobody behind it for a moment.
    peer = try listener.accept()
    #expect(try peer?.request().lowercased().contains("last-event-id: 2\r\n") == true)
    try peer?.sendReply("503 Service Unavailable", "{}")
    peer = try listener.accept()
    #expect(try peer?.request().lowercased().contains("last-event-id: 2\r\n") == true)
    try peer?.beginStream()
    try peer?.send("id: 3\nevent: token\ndata: {\"n\":3}\n\nevent: timeout\ndata: {\"type\":\"timeout\"}\n\n")
    peer = nil

    peer = try listener.accept()
    #expect(try peer?.request().lowercased().contains("last-event-id: 3\r\n") == true)
    try peer?.beginStream()
    try peer?.send("id: 4\nevent: complete\ndata: {\"n\":4,\"output\":{}}\n\n")
    let result = try command.finish()
    #expect(result.code == 0)
    #expect(
      result.out == "{\"n\":2}\n{\"n\":3}\n{\"type\":\"timeout\"}\n{\"n\":4,\"output\":{}}\n")
    #expect(result.err.contains("connection lost: ") && result.err.contains("next try in 0.45 s"))
  }

  @Test func survivesAServerThatIsKilledAndComesBack() throws {
    let first = try RunningServer(Self.scripted)
    let proxy = try Proxy(to: first.port)
    let directory = try TemporaryDirectory()
    let follower = try Command(
      ["invoke", "--run", "--run-id", "r", "--url", proxy.url, "-p", #"{"tokens":1,"hang":true}"#],
      in: directory)
    let came = eventually(within: 20) { follower.out.contains("tok0") }
    #expect(came, "\(follower.err)")
    proxy.send(to: nil)
    first.command.signal(SIGKILL)
    #expect(try first.command.finish().code == 128 + SIGKILL)
    let noticed = eventually(within: 20) { follower.err.contains("connection lost") }
    #expect(noticed)
    // The next one has a run of that id with more to tell than the follower has seen.
    let second = try RunningServer(Self.scripted)
    let again = try dockrion(
      "invoke", "--run", "--run-id", "r", "--url", second.url, "-p", #"{"tokens":3}"#, in: directory)
    #expect(again.code == 0)
    proxy.send(to: second.port)
    let result = try follower.finish(within: 40)
    #expect(result.code == 0, "\(result.err)")
    #expect(result.out.split(separator: "\n").map { $0.prefix(1) } == ["1", "2", "3", "4", "5", "{"])
  }

  @Test func tellsWhenTheRunIsGoneAfterARestart() throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(["tail", "r", "--url", listener.url], in: directory)
    var peer: Peer? = try listener.accept()
    _ = try peer?.request()
    try peer?.beginStream()
    try peer?.send(
      "retry: 10\nevent: heartbeat\ndata: {}\n\nid: 1\nevent: started\ndata: {\"sequence\":1}\n\n")
    let came = eventually(within: 20) { command.out.contains("started") }
    #expect(came)
    peer = nil
    peer = try listener.accept()
    _ = try peer?.request()
    try peer?.sendReply("404 Not Found", #"{"success":false,"error":"no run \"r\"","code":"NOT_FOUND"}"#)
    let result = try command.finish()
    #expect(result.code == 1)
    #expect(result.err.contains("dockrion: 404 NOT_FOUND: no run \"r\""), "\(result.err)")
    #expect(result.out == "1    started\n")
  }

  @Test func givesUpAfterAWhile() throws {
    var listener: Listener? = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(
      ["tail", "r", "--url", try #require(listener).url, "--retry-for", "0"], in: directory)
    var peer: Peer? = try listener?.accept()
    _ = try peer?.request()
    try peer?.beginStream()
    listener = nil
    peer = nil
    let result = try command.finish()
    #expect(result.code == 1)
    #expect(result.err.contains("no connection for 0 s, giving up"))
  }

  @Test func anInterruptedClientExitsWith130() throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(["tail", "r", "--url", listener.url], in: directory)
    let peer = try listener.accept()
    _ = try peer.request()
    command.signal(SIGINT)
    #expect(try command.finish().code == 130)
  }

  @Test func ctrlCThatTheParentIgnoresIsIgnored() throws {
    let listener = try Listener()
    let directory = try TemporaryDirectory()
    let command = try Command(["tail", "r", "--url", listener.url], in: directory, limit: "trap '' INT")
    let peer = try listener.accept()
    _ = try peer.request()
    command.signal(SIGINT)
    command.signal(SIGTERM)
    #expect(try command.finish().code == 128 + SIGTERM)
  }

  @Test func sendsTheKey() throws {
    let server = try RunningServer(
      "agent: {name: bot, handler: echo}\nauth: {mode: api_key}\n", environment: ["DOCKRION_API_KEY": "k1,k2"]
    )
    let directory = try TemporaryDirectory()
    let without = try dockrion("runs", "--url", server.url, in: directory)
    #expect(without.code == 1 && without.err.contains("401 AUTH_ERROR"))
    #expect(try dockrion("runs", "--url", server.url, "--api-key", "k2", in: directory).code == 0)
    let fromVariable = try dockrion(
      "runs", "--url", server.url, in: directory, environment: ["DOCKRION_API_KEY": "k1"])
    #expect(fromVariable.code == 0)
    let wrong = try dockrion("tail", "r", "--url", server.url, "--api-key", "no", in: directory)
    #expect(wrong.code == 1 && wrong.err.contains("401"))
  }

  @Test(
    arguments: [
      (["runs", "--url", "unix:/run/d.sock"], 2, "a Unix socket, which this client cannot use"),
      (["runs", "--url", "ftp://x"], 2, "\"ftp://x\" is no server's URL"),
      (["runs", "--url", "localhost:8080"], 2, "is no server's URL, such as http://127.0.0.1:8080"),
      (["runs", "--limit", "0"], 2, "--limit: 0 is out of range (1…500)"),
      (["runs", "--status", "done"], 2, "done"),
      (["tail", "a b"], 2, "a b"), (["tail", "r", "--from", "-1"], 2, "--from"),
      (["invoke", "--stream", "--run"], 2, "one of them is enough"),
      (["invoke", "--run-id", "x"], 2, "it needs --run"),
      (["invoke", "-p", "{}", "-f", "x"], 2, "one of them is enough"),
      (["invoke", "-f", "/nowhere.json"], 1, "/nowhere.json: the payload cannot be read"),
    ] as [([String], Int32, String)])
  func tellsWhatIsWrong(arguments: [String], code: Int32, sentence: String) throws {
    let directory = try TemporaryDirectory()
    let result = try Command(arguments, in: directory).finish()
    #expect(result.code == code)
    #expect(result.err.contains(sentence), "\(result.err)")
  }

  @Test func tellsThatNobodyListens() throws {
    let directory = try TemporaryDirectory()
    let url = try Listener().url
    for arguments in [["runs"], ["tail", "r"], ["invoke"], ["invoke", "--stream"], ["cancel", "r"]] {
      let result = try Command(arguments + ["--url", url], in: directory).finish()
      #expect(result.code == 1)
      #expect(result.err.contains("dockrion: \(url): "), "\(result.err)")
      #expect(result.err.contains("does a server run there?"))
    }
  }
}
