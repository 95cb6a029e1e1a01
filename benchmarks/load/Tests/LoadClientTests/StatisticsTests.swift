import LoadClient
import Testing

@Suite struct StatisticsTests {
  @Test func percentilesAreNearestRanks() throws {
    let summary = try #require(Summary((1...1000).map(Double.init).shuffled()))
    #expect(summary.minimum == 1 && summary.maximum == 1000)
    #expect(summary.median == 500 && summary.p90 == 900 && summary.p99 == 990 && summary.p999 == 999)
    #expect(summary.mean == 500.5 && summary.count == 1000)
  }

  @Test func oneValueIsEveryPercentile() throws {
    let summary = try #require(Summary([7]))
    #expect(
      [summary.minimum, summary.median, summary.p99, summary.p999, summary.maximum] == [7, 7, 7, 7, 7])
  }

  @Test func nothingHasNoSummary() { #expect(Summary([]) == nil) }

  @Test func aReportWithAViolationIsVoid() throws {
    var report = Report(scenario: "s", description: "d", command: "c")
    report.add("figure", 1234.5, "/s")
    #expect(!report.isVoid && report.table.contains("1,235 /s"))
    report.violate("lost: events 3…4")
    #expect(report.isVoid && report.table.contains("VOID"))
    #expect(String(decoding: try report.json(), as: UTF8.self).contains("\"violationCount\" : 1"))
  }
}

@Suite struct TargetTests {
  @Test func addressesAndSocketsAreTargets() {
    #expect(Target("http://127.0.0.1:8080") == .tcp(host: "127.0.0.1", port: 8080))
    #expect(Target("http://localhost:81/") == .tcp(host: "127.0.0.1", port: 81))
    #expect(Target("unix:/run/d.sock") == .unix(path: "/run/d.sock"))
  }

  @Test(arguments: ["https://127.0.0.1", "http://example.com:80", "http://127.0.0.1:0", "unix:", "127.0.0.1"])
  func othersAreNot(text: String) { #expect(Target(text) == nil) }
}
