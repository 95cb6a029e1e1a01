import Foundation
import Testing

@Suite(.sharesMachine) struct StopTests {
  private static func patient(_ grace: Int) -> String {
    dockfile("scripted", "runtime: {shutdown_grace_seconds: \(grace)}")
  }

  @Test(arguments: [SIGTERM, SIGINT])
  func anIdleServerStopsAtOnceWithExitCode0(_ signal: Int32) throws {
    let server = try ServerProcess(Self.patient(120))
    let idle = try server.connect()
    #expect(try idle.request("GET", "/health").status == 200)
    let start = monotonicNanoseconds()
    server.signal(signal)
    #expect(server.waitForExit(within: 5) == 0)
    #expect(seconds(since: start) < 60, "it waited out a part of the grace")
  }

  @Test func duringAGracefulStopNewRunsAreRefusedAndThoseThatRunComeToTheirEnd() throws {
    let server = try ServerProcess(Self.patient(20))
    let body = #"{"tokens":30,"interval_ms":150}"#
    let direct = try server.invokeStream(body, headers: ["X-Request-Id: r"])
    #expect(try direct.event()?.type == "started")
    let run = try server.startRun(body)
    let subscriber = try server.subscribe(to: run)
    let early = try server.connect()
    #expect(try early.request("GET", "/ready").status == 200)
    server.signal(SIGTERM)
    // The signal is asynchronous: ask on a connection from before until the answer changes.
    var ready: Response?
    let turned = try eventually(within: 3) {
      ready = try early.request("GET", "/ready")
      return ready?.status == 503
    }
    #expect(turned)
    #expect(try ready?.errorCode() == "SHUTTING_DOWN")
    #expect(ready?["Retry-After"] != nil)
    for path in ["/invoke", "/invoke/stream", "/runs"] {
      let refused = try early.request("POST", path, body: "{}")
      #expect(refused.status == 503, "\(path)")
      #expect(try refused.errorCode() == "SHUTTING_DOWN")
      #expect(refused["Retry-After"] != nil)
    }
    #expect(try early.request("GET", "/health").status == 200)
    let events = try direct.remainingEvents()
    #expect(events.count == 31 && events.last?.type == "complete")
    let stored = try subscriber.remainingEvents()
    expectWholeStream(stored, idField: "run_id", id: run)
    #expect(stored.last?.type == "complete")
    #expect(server.waitForExit(within: 5) == 0)
  }

  @Test func whatTheGraceLeavesIsCancelledWithItsTerminalEvent() throws {
    let server = try ServerProcess(Self.patient(1))
    let direct = try server.invokeStream(#"{"tokens":1,"hang":true}"#, headers: ["X-Request-Id: r"])
    let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
    let subscriber = try server.subscribe(to: run)
    let invoke = try server.connect()
    try invoke.send(requestText("POST", "/invoke", body: #"{"hang":true}"#))
    #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 3 })
    let start = monotonicNanoseconds()
    server.signal(SIGTERM)
    let directEvents = try direct.remainingEvents()
    expectWholeStream(directEvents, idField: "request_id", id: "r")
    #expect(directEvents.map(\.type) == ["started", "token", "cancelled"])
    let storedEvents = try subscriber.remainingEvents()
    expectWholeStream(storedEvents, idField: "run_id", id: run)
    #expect(storedEvents.last?.type == "cancelled")
    #expect(try invoke.response(to: "POST").status == 503)
    #expect(server.waitForExit(within: 5) == 0)
    #expect(seconds(since: start) > 0.9)
  }

  @Test func aSecondSignalEndsAtOnce() throws {
    let server = try ServerProcess(Self.patient(120))
    let held = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
    #expect(try held.event()?.type == "started")
    let early = try server.connect()
    server.signal(SIGTERM)
    #expect(try eventually(within: 2) { try early.request("GET", "/ready").status == 503 })
    let start = monotonicNanoseconds()
    server.signal(SIGTERM)
    #expect(server.waitForExit(within: 5) != nil)
    #expect(seconds(since: start) < 60, "it waited out a part of the grace")
  }

  @Test func anAgentThatBlocksItsThreadDoesNotHoldAStopUp() throws {
    let server = try ServerProcess(Self.patient(1))
    let held = try server.invokeStream(#"{"tokens":1,"block_ms":60000}"#)
    #expect(try held.event()?.type == "started")
    let start = monotonicNanoseconds()
    server.signal(SIGTERM)
    #expect(try held.remainingEvents().last?.type == "cancelled")
    #expect(server.waitForExit(within: 10) == 0)
    #expect(seconds(since: start) < 30, "it waited for the agent, which blocks for a minute")
  }

  @Test func aClientThatDoesNotReadDoesNotHoldAStopUp() throws {
    let server = try ServerProcess(Self.patient(1))
    let stream = try server.invokeStream(
      #"{"tokens":100000,"token_bytes":1000}"#, receiveBuffer: 4096)
    #expect(stream.head.status == 200)
    server.signal(SIGTERM)
    #expect(server.waitForExit(within: 10) == 0)
  }
}
