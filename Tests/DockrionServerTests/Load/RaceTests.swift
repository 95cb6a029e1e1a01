import Foundation
import Testing

@Suite(.ownsMachine) struct RaceTests {
  /// The agent's end, a cancel and the time limit at the same moment: one of them wins, everywhere the same one.
  @Test func aFinalStatusIsFinalWhoeverComesFirst() throws {
    let sections = "streaming: {events: {max_run_duration: 1}}\n"
    try withServer(dockfile("scripted", sections)) { server in
      var ids: [String] = []
      for index in 0..<60 {
        let agent =
          index % 2 == 0
          ? #"{"tokens":2,"interval_ms":\#(985 + index % 30)}"#
          : #"{"tokens":0,"emit":[{"type":"sleep","ms":\#(985 + index % 30)}],"fail":"x","code":"X"}"#
        ids.append(try server.startRun(agent))
      }
      let streams = try ids.map { try server.subscribe(to: $0) }
      usleep(930_000)
      var cancelled: [String: Int] = [:]
      for id in ids.shuffled() {
        cancelled[id] = try server.request("DELETE", "/runs/\(id)").status
        usleep(2000)
      }
      var outcomes: [String: Int] = [:]
      for (id, stream) in zip(ids, streams) {
        let events = try stream.remainingEvents()
        expectWholeStream(events, idField: "run_id", id: id)
        let status = try server.run(id)["status"]?.string ?? ""
        let last = events.last?.type ?? ""
        #expect(["complete": "completed", "error": "failed", "cancelled": "cancelled"][last] == status)
        #expect((cancelled[id] == 200) == (status == "cancelled"))
        let replay = try server.subscribe(to: id).remainingEvents()
        #expect(replay.map(\.data) == events.map(\.data))
        outcomes[status, default: 0] += 1
      }
      print("outcomes: \(outcomes)")
    }
  }

  @Test func cancellingAtAnyMomentLeavesOneTerminalEvent() throws {
    try withServer(dockfile("scripted")) { server in
      for round in 0..<150 {
        let id = try server.startRun(#"{"tokens":\#(round % 40)}"#)
        let reply = try server.request("DELETE", "/runs/\(id)?reason=round%20\(round)")
        #expect([200, 409].contains(reply.status))
        let events = try server.subscribe(to: id).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: id)
        #expect((reply.status == 200) == (events.last?.type == "cancelled"))
      }
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }
}
