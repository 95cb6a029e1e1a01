import Testing

@testable import DockrionServer

@Suite struct OtherLeasesTests {
  private static let second: Int64 = 1_000_000_000

  private func others(lease seconds: Int64 = 10) -> OtherLeases {
    var others = OtherLeases(leaseNanoseconds: seconds * Self.second)
    _ = others.looked(began: 0, now: 1, instances: ["a", "b"], standing: [])
    return others
  }

  @Test func anInstanceIsLostWhenTwoLooksMissItsLease() {
    var others = others()
    #expect(others.asked == ["a", "b"])
    #expect(others.looked(began: 2, now: 3, instances: ["a", "b"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 4, now: 5, instances: ["a", "b"], standing: ["a"]) == .lost(["b"]))
    #expect(others.looked(began: 6, now: 7, instances: ["a"], standing: ["a"]) == .lost([]))
  }

  @Test func aLeaseThatStandsAgainIsNoLongerMissed() {
    var others = others()
    #expect(others.looked(began: 2, now: 3, instances: ["a", "b"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 4, now: 5, instances: ["a", "b"], standing: ["a", "b"]) == .lost([]))
    #expect(others.looked(began: 6, now: 7, instances: ["a", "b"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 8, now: 9, instances: ["a", "b"], standing: []) == .lost(["b"]))
  }

  @Test func anInstanceThatIsNewIsNotMissedBeforeItWasAskedFor() {
    var others = others()
    #expect(others.looked(began: 2, now: 3, instances: ["a", "c"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 4, now: 5, instances: ["a", "c"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 6, now: 7, instances: ["a", "c"], standing: ["a"]) == .lost(["c"]))
  }

  /// 0.75 of a lease, less three tenths between renewals and a tenth between looks.
  @Test func anAnswerWithinTheMarginCounts() {
    var others = others()
    let margin = others.marginNanoseconds
    #expect(margin == 35 * Self.second / 10)
    #expect(others.looked(began: 0, now: margin, instances: ["a", "b"], standing: ["a"]) == .lost([]))
    #expect(others.looked(began: 0, now: margin, instances: ["a", "b"], standing: ["a"]) == .lost(["b"]))
  }

  @Test func anAnswerThatTookLongerJudgesNobodyForALease() {
    var others = others()
    let late = others.marginNanoseconds + 1
    #expect(others.looked(began: 2, now: 3, instances: ["a", "b"], standing: []) == .lost([]))
    #expect(others.looked(began: 0, now: late, instances: ["a", "b"], standing: []) == .slow(isNews: true))
    #expect(others.mayJudgeAt == late + 10 * Self.second)
    #expect(others.answered(began: 0, now: late) == .slow(isNews: false))
    #expect(others.answered(began: 0, now: late - 1) == nil)
    // The suspects of before are forgotten, and the next slow one is news again.
    #expect(others.looked(began: 5, now: 6, instances: ["a", "b"], standing: []) == .lost([]))
    #expect(others.answered(began: 0, now: late) == .slow(isNews: true))
  }
}

@Suite struct RedisRefusalTests {
  @Test(arguments: [
    ("SET", "READONLY You can't write against a read only replica.", "replica", "primary"),
    ("SET", "OOM command not allowed when used memory > 'maxmemory'.", "memory", "maxmemory"),
    ("SET", "NOPERM User x has no permissions to run the 'set' command", "may not", "ACL"),
    (
      "EVALSHA (append)", "ERR ACL failure in script: User x has no permissions to run the 'xadd' command",
      "may not", "ACL"
    ),
    ("SET", "MOVED 3999 10.1.2.3:6381", "cluster", "proxy"),
    ("SET", "CLUSTERDOWN Hash slot not served", "cluster", "proxy"),
    ("SET", "MISCONF Redis is configured to save RDB snapshots", "disk", "disk"),
    ("AUTH", "WRONGPASS invalid username-password pair or user is disabled.", "password", "url"),
    ("AUTH", "ERR AUTH <password> called without any password configured", "password", "url"),
    ("SCRIPT LOAD", "ERR unknown command 'SCRIPT', with args beginning with: 'LOAD'", "Sentinel", "port"),
    ("SET", "NOREPLICAS Not enough good replicas to write.", "replicas", "replicas"),
    ("PING", "LOADING Redis is loading the dataset in memory", "loading", "wait"),
    ("SET", "ERR something else", "refuses", "answer"),
  ])
  func eachHasItsReasonAndItsRemedy(_ command: String, _ answer: String, _ reason: String, _ remedy: String) {
    let refusal = DockrionServer.RedisRefusal(command: command, answer: answer)
    #expect(refusal.reason.contains(reason), "\(refusal.reason)")
    #expect(refusal.remedy.contains(remedy), "\(refusal.remedy)")
    #expect(!(refusal.reason + refusal.remedy).contains("10.1.2.3"))
  }

  @Test func aKindIsNewsOnceAndAgainAfterAQuietMinute() {
    var memory = RefusalMemory()
    let second: Int64 = 1_000_000_000
    #expect(memory.isNews(.memory, now: 5) == true)
    #expect(memory.isNews(.memory, now: 50 * second) == false)
    #expect(memory.isNews(.cluster, now: 50 * second) == true)
    #expect(memory.isNews(.memory, now: 109 * second) == false)
    #expect(memory.isNews(.memory, now: 170 * second) == true)
  }
}
