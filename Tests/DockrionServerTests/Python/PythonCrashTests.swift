import Foundation
import Testing

/// What becomes of runs, and of processes, when something ends that should not.
@Suite(.sharesMachine) struct PythonCrashTests {
  @Test func aKilledWorkerTakesItsOwnRunsAlongAndNoOthers() throws {
    try withServer(pythonDockfile()) { server throws in
      let release = try Release()
      let runs = try (0..<20).map { _ in try server.heldRun(release.path) }
      let victim = runs[0].pid
      let (lost, kept) = (runs.filter { $0.pid == victim }, runs.filter { $0.pid != victim })
      // Each goes to the one that has least.
      #expect(lost.count == 10 && kept.count == 10)
      kill(victim, SIGKILL)
      for run in lost {
        let record = try server.waitForRun(run.id, status: "failed")
        #expect(record["error"]?["code"] == "WORKER_CRASHED")
        #expect(record["error"]?["details"]?["signal"] == "SIGKILL")
        #expect(record["error"]?["details"]?["pid"]?.int == Int(victim))
      }
      // New ones start at once, the old ones go on.
      #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      #expect(try eventually(within: 5) { try server.workers().count == 2 })
      try release.go()
      for run in kept {
        let events = try server.subscribe(to: run.id).remainingEvents()
        expectWholeStream(events, idField: "run_id", id: run.id)
        #expect(events.count == 53 && events.last?.type == "complete")
      }
    }
  }

  @Test func anExitStatusIsTold() throws {
    try withServer(pythonDockfile(python: "processes: 1")) { server throws in
      for status in [3, 0, 4] {
        let events = try server.invokeStream(#"{"do":"exit","status":\#(status)}"#).remainingEvents()
        #expect(events.map(\.type) == ["started", "error"])
        let error = try events[1].json()
        #expect(error["code"] == "WORKER_CRASHED" && error["details"]?["exit_status"]?.int == status)
        #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      }
    }
  }

  @Test func aWorkerWhoseFramesAreNoneIsReplaced() throws {
    try withServer(pythonDockfile(python: "processes: 1")) { server throws in
      var random = SystemRandomNumberGenerator()
      for round in 0..<6 {
        var bytes = (0..<200).map { _ in UInt8.random(in: 0...255, using: &random) }
        // No type of a frame: what is read as one is refused, whatever the rest is.
        bytes[4] = UInt8(round)
        for place in 0..<4 { bytes[place] = 0 }
        let reply = try server.post("/invoke", #"{"do":"garbage","bytes":\#(bytes)}"#)
        #expect(try reply.json()["code"] == "WORKER_CRASHED", "\(reply.text)")
        #expect(try reply.json()["details"]?["protocol"]?.string?.contains("a frame of type") == true)
        #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      }
    }
  }

  @Test func aDeadZygoteIsReplacedAndItsRunsGoOn() throws {
    try withServer(pythonDockfile()) { server throws in
      let release = try Release()
      let runs = try (0..<4).map { _ in try server.heldRun(release.path) }
      let old = try server.zygote()
      kill(old, SIGKILL)
      let replaced = eventually(within: 10) {
        Processes.all().contains {
          $0.parent == server.pid && $0.pid != old && $0.command.contains("dockrion_worker")
        }
      }
      #expect(replaced)
      #expect(try eventually(within: 10) { try server.workers().count == 2 })
      #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      try release.go()
      for run in runs {
        #expect(try server.subscribe(to: run.id).remainingEvents().last?.type == "complete")
      }
      // The old processes leave once they have nothing to do.
      for run in runs { #expect(eventually(within: 10) { !Processes.isAlive(run.pid) }) }
    }
  }

  @Test func aRunThatIgnoresItsCancellationCostsItsProcess() throws {
    let dockfile = pythonDockfile(python: "processes: 1, cancel_grace_seconds: 1")
    try withServer(dockfile) { server throws in
      let (release, never) = (try Release(), try Release())
      let deaf = try server.heldRun(never.path, do: "deaf")
      let other = try server.heldRun(release.path)
      #expect(deaf.pid == other.pid)
      #expect(try server.request("DELETE", "/runs/\(deaf.id)").status == 200)
      #expect(try server.run(deaf.id)["status"] == "cancelled")
      // The replacement starts first; the old one stays as long as it has others.
      var pid = deaf.pid
      let replaced = try eventually(within: 10) {
        pid = pid_t(try server.post("/invoke", #"{"do":"echo"}"#).json()["output"]?["pid"]?.int ?? 0)
        return pid != deaf.pid
      }
      #expect(replaced && Processes.isAlive(deaf.pid))
      try release.go()
      #expect(try server.subscribe(to: other.id).remainingEvents().last?.type == "complete")
      #expect(eventually(within: 10) { !Processes.isAlive(deaf.pid) })
      #expect(Processes.isAlive(pid))
    }
  }

  @Test func runsBeyondWhatProcessesTakeAreRefused() throws {
    try withServer(pythonDockfile(python: "processes: 2, max_concurrent_runs: 2")) { server throws in
      let release = try Release()
      let runs = try (0..<4).map { _ in try server.heldRun(release.path) }
      let refused = try server.post("/runs", #"{"do":"echo"}"#)
      #expect(try refused.status == 429 && refused.errorCode() == "TOO_MANY_RUNS")
      try release.go()
      for run in runs { _ = try server.waitForRun(run.id, status: "completed") }
      #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
    }
  }

  @Test func aProcessIsReplacedAfterItsRunsWithoutRefusingAny() throws {
    try withServer(pythonDockfile(python: "processes: 1, max_runs: 5")) { server throws in
      var pids: Set<Int> = []
      for _ in 0..<40 {
        let reply = try server.post("/invoke", #"{"do":"echo"}"#)
        #expect(reply.status == 200)
        pids.insert(try reply.json()["output"]?["pid"]?.int ?? 0)
      }
      #expect(pids.count >= 2, "\(pids)")
      #expect(server.errorOutput.contains("has ended") == false)
      #expect(try eventually(within: 5) { try server.workers().count == 1 })
    }
  }

  @Test func aStopLeavesNoProcessBehindAndCrashesNoDescriptor() throws {
    var pids: [pid_t] = []
    try withServer(pythonDockfile()) { server throws in
      #expect(try server.post("/invoke", #"{"do":"echo"}"#).status == 200)
      let before = server.descriptorCount
      for _ in 0..<5 {
        _ = try server.post("/invoke", #"{"do":"exit","status":1}"#)
        #expect(try eventually(within: 10) { try server.workers().count == 2 })
      }
      #expect(
        eventually(within: 5) { server.descriptorCount == before }, "\(server.descriptorCount), \(before)")
      let never = try Release()
      for _ in 0..<2 { _ = try server.heldRun(never.path, do: "deaf") }
      pids = try [server.zygote()] + server.workers()
      #expect(pids.count == 3)
    }
    #expect(!pids.isEmpty)
    for pid in pids { #expect(!Processes.isAlive(pid)) }
  }

  @Test func aServerThatIsKilledTakesItsProcessesAlong() throws {
    let server = try ServerProcess(pythonDockfile())
    let never = try Release()
    _ = try server.heldRun(never.path, do: "spin")
    let pids = try [server.zygote()] + server.workers()
    #expect(pids.count == 3)
    server.signal(SIGKILL)
    #expect(server.waitForExit(within: 5) == 128 + SIGKILL)
    for pid in pids { #expect(eventually(within: 5) { !Processes.isAlive(pid) }) }
  }

  @Test func pythonAndSwiftAgentsAreServedSideBySide() throws {
    let python = pythonDockfile(python: "processes: 1").split(separator: "\n").dropFirst().joined(
      separator: "\n")
    let dockfile = """
      agents:
        - {name: slow, handler: "live:graph"}
        - {name: fast, handler: echo}
      \(python)

      """
    try withServer(dockfile) { server throws in
      #expect(try server.post("/agents/slow/invoke", #"{"do":"echo"}"#).status == 200)
      let echo = try server.post("/agents/fast/invoke", #"{"text":"x"}"#)
      #expect(try echo.status == 200 && echo.json()["metadata"]?["framework"] == "swift")
      let crashed = try server.post("/agents/slow/invoke", #"{"do":"exit","status":1}"#)
      #expect(try crashed.status == 500 && crashed.json()["code"] == "WORKER_CRASHED")
    }
  }
}
