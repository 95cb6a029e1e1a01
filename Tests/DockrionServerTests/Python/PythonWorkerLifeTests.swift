import DockrionCore
import Testing

@testable import DockrionServer

/// A worker's states, without a process.
@Suite struct PythonWorkerLifeTests {
  private func life(_ happenings: PythonWorkerLife.Happening...) -> (
    PythonWorkerLife, [[PythonWorkerLife.Action]]
  ) {
    var life = PythonWorkerLife()
    let actions = happenings.map { life.handle($0) }
    return (life, actions)
  }

  @Test func aWorkerThatIsReadyTakesRunsUntilItLeaves() {
    let (life, actions) = life(.ready, .leave, .endOfFile, .exited(status: 0))
    #expect(actions == [[.announce], [.drain], [.await], [.bury]])
    #expect(life.state == .dead(.endOfFile) && life.isReplaced && life.status == 0)
  }

  @Test func theStatusMayComeBeforeTheEndOfTheSocketOrBehindItOrNever() {
    #expect(life(.ready, .exited(status: 9), .endOfFile).1 == [[.announce], [.await], [.bury]])
    #expect(life(.ready, .endOfFile, .exited(status: 9)).1 == [[.announce], [.await], [.bury]])
    let (never, actions) = life(.ready, .endOfFile, .waitedLongEnough, .exited(status: 9))
    #expect(actions == [[.announce], [.await], [.bury], []])
    #expect(never.status == nil && !never.isReplaced)
    #expect(life(.ready, .exited(status: 9), .waitedLongEnough).1.last == [.bury])
  }

  @Test func aBadFrameKillsAndTheCauseStays() {
    let (life, actions) = life(.ready, .badFrame("x"), .exited(status: 9))
    #expect(actions == [[.announce], [.kill, .await], [.bury]])
    #expect(life.state == .dead(.badFrame("x")) && !life.isReplaced)
    #expect(self.life(.ready, .ready).0.state == .ending(.badFrame("a second READY")))
  }

  @Test func aStuckRunTakesItsProcessAlongOnceItIsAlone() {
    let (life, actions) = life(
      .ready, .overdue(run: 1), .ended(run: 2, left: 2), .ended(run: 3, left: 1), .endOfFile,
      .exited(status: 9))
    #expect(actions == [[.announce], [.replace], [], [.kill, .await], [.await], [.bury]])
    #expect(life.state == .dead(.stuck) && life.isReplaced)
  }

  @Test func aStuckRunThatEndsByItselfLetsItsProcessLeave() {
    #expect(
      life(.ready, .overdue(run: 1), .ended(run: 1, left: 3)).1 == [[.announce], [.replace], [.drain]])
    #expect(
      life(.ready, .overdue(run: 1), .overdue(run: 2), .ended(run: 1, left: 1)).1.last == [.kill, .await])
  }

  @Test func aStartThatTakesTooLongIsEnded() {
    #expect(life(.startTimeout).1 == [[.kill, .await]])
    #expect(life(.ready, .startTimeout).1 == [[.announce], []])
    #expect(life(.failedImport, .endOfFile, .exited(status: 256)).0.state == .dead(.failedImport))
  }

  @Test func whoeverStopsNeedsNoReplacement() {
    #expect(life(.ready, .kill(.stopped), .endOfFile, .exited(status: 9)).0.isReplaced)
    #expect(!life(.ready, .kill(.memory), .endOfFile, .exited(status: 9)).0.isReplaced)
  }

  @Test func aDeathIsToldInWordsAndFields() {
    let killed = PythonDeath(pid: 7, cause: .endOfFile, status: 9).error
    #expect(killed.code == "WORKER_CRASHED" && killed.details == ["pid": 7, "signal": "SIGKILL"])
    #expect(killed.message == "the agent's process ended during the run: killed by SIGKILL")
    #expect(
      PythonDeath(pid: 7, cause: .endOfFile, status: 3 << 8).error.details == ["pid": 7, "exit_status": 3])
    #expect(
      PythonDeath(pid: 7, cause: .memory, status: 9).error.details == [
        "pid": 7, "signal": "SIGKILL", "reason": "memory",
      ])
    #expect(
      PythonDeath(pid: nil, cause: .badFrame("x"), status: nil).error.details == ["protocol": "x"])
    // A core dump has a bit of its own.
    #expect(PythonDeath(pid: 7, cause: .endOfFile, status: 0x80 | 11).signal == 11)
  }

  @Test func theDelayGrowsAndIsBounded() {
    #expect(
      (0...10).map { PythonPlace.delay(afterCrashes: $0) } == [
        0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000,
      ])
    #expect(PythonPlace.delay(afterCrashes: .max) == 10_000)
  }
}
