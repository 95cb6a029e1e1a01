import Testing

extension BackendContract {
  @Suite(.sharesMachine) struct CancelTests {
    @Test(arguments: Backend.allCases)
    func aCancelStoresItsReasonAndEndsEveryStream(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"tokens":2,"hang":true}"#)
        let subscribers = try (0..<3).map { _ in try server.subscribe(to: id) }
        #expect(try eventually(within: 5) { try server.run(id)["last_sequence"] == 3 })
        let response = try server.request("DELETE", "/runs/\(id)?reason=changed%20my%20mind")
        #expect(response.status == 200)
        #expect(try response.json() == ["run_id": .text(id), "status": "cancelled"])
        for subscriber in subscribers {
          let events = try subscriber.remainingEvents()
          expectWholeStream(events, idField: "run_id", id: id)
          #expect(events.map(\.type) == ["started", "token", "token", "cancelled"])
          #expect(try events.last?.json()["reason"] == "changed my mind")
        }
        let run = try server.run(id)
        #expect(run["status"] == "cancelled")
        #expect(run["last_sequence"] == 4)
        #expect(run["completed_at"]?.string != nil)
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
      }
    }

    @Test(arguments: Backend.allCases)
    func aCancelWithoutAReasonHasNone(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"hang":true}"#)
        #expect(try server.request("DELETE", "/runs/\(id)").status == 200)
        let last = try #require(try server.subscribe(to: id).remainingEvents().last)
        #expect(last.type == "cancelled")
        #expect(try last.json()["reason"] == nil)
      }
    }

    @Test(arguments: Backend.allCases)
    func aReasonCannotForgeAnEvent(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"tokens":0,"hang":true}"#)
        let reason = "a%0A%0Aevent:%20complete%0Adata:%20%7B%7D%0A%0A%22%5C"
        #expect(try server.request("DELETE", "/runs/\(id)?reason=\(reason)").status == 200)
        let events = try server.subscribe(to: id).remainingEvents()
        #expect(events.map(\.type) == ["started", "cancelled"])
        #expect(try events.last?.json()["reason"]?.string == "a\n\nevent: complete\ndata: {}\n\n\"\\")
      }
    }

    @Test(arguments: Backend.allCases)
    func aFinishedRunCannotBeCancelled(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let completed = try server.completedRun("{}")
        let failed = try server.startRun(#"{"fail":"x"}"#)
        _ = try server.waitForRun(failed, status: "failed")
        let cancelled = try server.startRun(#"{"hang":true}"#)
        #expect(try server.request("DELETE", "/runs/\(cancelled)").status == 200)
        for (id, status) in [(completed, "completed"), (failed, "failed"), (cancelled, "cancelled")] {
          let before = try server.run(id)
          let response = try server.request("DELETE", "/runs/\(id)?reason=late")
          #expect(response.status == 409)
          #expect(try response.errorCode() == "RUN_FINISHED")
          #expect(try server.run(id) == before)
          #expect(before["status"]?.string == status)
        }
      }
    }

    @Test(arguments: Backend.allCases)
    func whatAnAgentSaysAfterACancelIsDropped(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        // The agent ignores the cancellation for half a second and then ends by itself.
        let id = try server.startRun(#"{"tokens":1,"block_ms":500,"output":{"late":true}}"#)
        #expect(try eventually(within: 5) { try server.run(id)["last_sequence"] == 2 })
        #expect(try server.request("DELETE", "/runs/\(id)").status == 200)
        let before = try server.run(id)
        #expect(try server.metrics().sum("dockrion_active_runs") == 1)
        #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
        #expect(try server.run(id) == before)
        #expect(
          try server.subscribe(to: id).remainingEvents().map(\.type) == ["started", "token", "cancelled"])
      }
    }

    @Test(arguments: Backend.allCases)
    func aSubscribersLeavingDoesNotCancelTheRun(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let id = try server.startRun(#"{"tokens":20,"interval_ms":20}"#)
        for leave in [Connection.close, Connection.reset] {
          let subscriber = try server.subscribe(to: id)
          #expect(try subscriber.event()?.type == "started")
          leave(subscriber.connection)()
        }
        _ = try server.waitForRun(id, status: "completed")
        expectWholeStream(try server.subscribe(to: id).remainingEvents(), idField: "run_id", id: id)
      }
    }
  }
}
