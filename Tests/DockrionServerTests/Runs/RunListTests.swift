import Testing

extension BackendContract {
  @Suite(.sharesMachine) struct RunListTests {
    @Test(arguments: Backend.allCases)
    func theListIsNewestFirstAndCutIntoPages(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let ids = (0..<7).map { "run-\($0)" }
        for id in ids { #expect(try server.completedRun(#"{"text":"Hi"}"#, query: "?run_id=\(id)") == id) }
        var seen: [String] = []
        var sizes: [Int] = []
        var query = "?limit=3"
        for _ in 0..<10 {
          let page = try server.get("/runs\(query)").json()
          #expect(page.names == ["next_cursor", "runs"])
          let runs = try #require(page["runs"]?.array)
          sizes.append(runs.count)
          seen += runs.compactMap { $0["run_id"]?.string }
          guard let cursor = page["next_cursor"]?.string else {
            #expect(page["next_cursor"] == .null)
            break
          }
          query = "?limit=3&cursor=\(cursor)"
        }
        #expect(seen == Array(ids.reversed()))
        #expect(sizes == [3, 3, 1])
      }
    }

    @Test(arguments: Backend.allCases)
    func eachEntryIsTheRunAsItsOwnRouteShowsIt(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let id = try server.completedRun(#"{"text":"Hi"}"#)
        #expect(try server.get("/runs").json()["runs"]?.array == [try server.run(id)])
      }
    }

    @Test(arguments: Backend.allCases)
    func theListCanBeNarrowedToAStatus(_ backend: Backend) throws {
      try withServer(on: backend, "scripted") { server throws in
        let completed = try server.completedRun("{}")
        let failed = try server.startRun(#"{"fail":"x"}"#)
        let running = try server.startRun(#"{"tokens":1,"hang":true}"#)
        let cancelled = try server.startRun(#"{"tokens":1,"hang":true}"#)
        #expect(try server.request("DELETE", "/runs/\(cancelled)").status == 200)
        _ = try server.waitForRun(failed, status: "failed")
        _ = try server.waitForRun(running, status: "running")
        for (status, id) in [
          ("completed", completed), ("failed", failed), ("running", running), ("cancelled", cancelled),
        ] {
          let runs = try server.get("/runs?status=\(status)").json()["runs"]?.array ?? []
          #expect(runs.map { $0["run_id"]?.string } == [id], "\(status)")
        }
        #expect(try server.get("/runs?status=accepted").json()["runs"] == [])
      }
    }

    @Test(arguments: Backend.allCases)
    func withoutALimitAPageHas50Runs(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        let connection = try server.connect()
        for _ in 0..<60 {
          #expect(try connection.request("POST", "/runs", body: #"{"text":"x"}"#).status == 202)
        }
        #expect(try server.get("/runs").json()["runs"]?.array?.count == 50)
        #expect(try server.get("/runs?limit=500").json()["runs"]?.array?.count == 60)
      }
    }

    @Test(
      arguments: Backend.allCases,
      [
        "limit=0", "limit=501", "limit=-1", "limit=x", "limit=1.5", "limit=", "status=done", "status=",
        "cursor=%21%21", "limit=99999999999999999999",
      ])
    func aBadQueryValueIs400AndIsNamed(_ backend: Backend, _ query: String) throws {
      try withServer(on: backend, "echo") { server throws in
        let response = try server.get("/runs?\(query)")
        #expect(response.status == 400)
        #expect(try response.errorCode() == "VALIDATION_ERROR")
        let name = try #require(query.split(separator: "=").first)
        #expect(try response.errorSentence().contains(name), "\(response.text)")
      }
    }

    @Test(arguments: Backend.allCases)
    func pagesStayWholeWhileRunsAreAdded(_ backend: Backend) throws {
      try withServer(on: backend, "echo") { server throws in
        for index in 0..<6 { _ = try server.completedRun(#"{"text":"x"}"#, query: "?run_id=old-\(index)") }
        let first = try server.get("/runs?limit=3").json()
        for index in 0..<5 { _ = try server.completedRun(#"{"text":"x"}"#, query: "?run_id=new-\(index)") }
        let cursor = try #require(first["next_cursor"]?.string)
        let second = try server.get("/runs?limit=3&cursor=\(cursor)").json()
        let ids = [first, second].flatMap { $0["runs"]?.array ?? [] }.compactMap { $0["run_id"]?.string }
        #expect(ids == ["old-5", "old-4", "old-3", "old-2", "old-1", "old-0"])
      }
    }
  }

  /// These take a minute, nearly all of it waiting.
  @Suite(.onlyWaits) struct RetentionTests {
    @Test(arguments: Backend.allCases)
    func aFinishedRunIsForgottenWhenItsRetentionIsOver(_ backend: Backend) throws {
      try withServer(on: backend, "scripted", retentionSeconds: 60) { server throws in
        let held = try server.startRun(#"{"tokens":1,"hang":true}"#)
        let keyed = try server.post("/runs", "{}", headers: ["Idempotency-Key: k"])
        let id = try #require(try keyed.json()["run_id"]?.string)
        let start = monotonicNanoseconds()
        _ = try server.waitForRun(id, status: "completed")
        #expect(try eventually(within: 80) { try server.get("/runs/\(id)").status == 404 })
        #expect(seconds(since: start) > 55)
        #expect(try server.get("/runs/\(id)/events").status == 404)
        #expect(try server.run(held)["status"] == "running", "only finished runs are forgotten")
        let again = try server.post("/runs", "{}", headers: ["Idempotency-Key: k"])
        #expect(try again.json()["run_id"]?.string != id)
      }
    }
  }
}
