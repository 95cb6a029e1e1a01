import Foundation
import Testing

/// `config/prometheus-rules.yml` and `config/grafana-dashboard.json`.
@Suite(.sharesMachine) struct MonitoringFilesTests {
  private static let rules = projectFile("config/prometheus-rules.yml")
  private static let cases = projectFile("config/prometheus-rules-test.yml")
  private static let dashboard = projectFile("config/grafana-dashboard.json")

  private static func text(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  private static func alerts() throws -> [String] {
    try text(rules).matches(of: /- alert: (\w+)/).map { String($0.1) }
  }

  /// The names in a piece of PromQL that a server of ours must have.
  private static func metricNames(_ expression: String) -> Set<String> {
    Set(expression.matches(of: /\b(?:dockrion|process)_\w+/).map { String($0.0) })
  }

  private static func dashboardExpressions() throws -> [String] {
    let panels = try #require(try JSON(text(dashboard))["panels"]?.array)
    return panels.flatMap { $0["targets"]?.array ?? [] }.compactMap { $0["expr"]?.string }
  }

  /// Every sample of a server with everything turned on.
  private static func served() throws -> Set<String> {
    let redis = try RedisProcess()
    var names: Set<String> = []
    try withServer(
      redisDockfile(redis.url), arguments: ["--host", "127.0.0.1", "--access-log", "/dev/null"]
    ) { server throws in
      #expect(try server.get("/health").status == 200)
      names = Set(try server.metrics().samples.map(\.name))
    }
    return names
  }

  @Test func promtoolTakesTheRulesAndEachAlertFiresWhereItShould() throws {
    #expect(try runCommand("promtool", "check", "rules", Self.rules).contains("SUCCESS"))
    #expect(try runCommand("promtool", "test", "rules", Self.cases).contains("SUCCESS"))
    let tried = try Set(Self.text(Self.cases).matches(of: /alertname: (\w+)/).map { String($0.1) })
    #expect(try tried == Set(Self.alerts()))
    #expect(try Self.alerts().count > 15)
  }

  @Test func eachAlertHasARunbookLine() throws {
    let page = try Self.text(projectFile("docs/deployment.md"))
    let lines = page.split(separator: "\n").compactMap {
      $0.wholeMatch(of: /\| `(Dockrion\w+)` \| (.+) \| (.+) \|/)
    }
    #expect(try lines.map { String($0.1) } == Self.alerts())
    #expect(lines.allSatisfy { $0.2.count > 10 && $0.3.count > 10 })
  }

  @Test func rulesAndDashboardAskForMetricsThatThereAre() throws {
    let served = try Self.served()
    let rules = try Self.text(Self.rules).replacing(/summary: .*/, with: "")
    for (file, expressions) in [("rules", [rules]), ("dashboard", try Self.dashboardExpressions())] {
      let names = expressions.reduce(into: Set<String>()) { $0.formUnion(Self.metricNames($1)) }
      #expect(names.count > 15, "\(file)")
      #expect(names.subtracting(served) == [], "\(file)")
    }
  }

  @Test func promtoolTakesTheDashboardsExpressions() throws {
    let expressions = try Self.dashboardExpressions()
    #expect(expressions.count > 30)
    let rules = expressions.enumerated().map { index, expression in
      let plain = expression.replacing("$__rate_interval", with: "5m").replacing("$instance", with: ".*")
        .replacing("$job", with: "dockrion")
      return "  - record: panel:\(index)\n    expr: '\(plain)'\n"
    }
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let text = "groups:\n- name: dashboard\n  rules:\n" + rules.joined()
    try text.write(toFile: directory + "/rules.yml", atomically: true, encoding: .utf8)
    let said = try runCommand("promtool", "check", "rules", directory + "/rules.yml")
    #expect(said.contains("SUCCESS: \(expressions.count) rules found"), "\(said)")
    #expect(!text.contains("$"), "a variable of Grafana's that this test does not know")
  }

  @Test func theDashboardsPanelsHaveIdsOfTheirOwnAndDoNotLieOnEachOther() throws {
    let panels = try #require(try JSON(Self.text(Self.dashboard))["panels"]?.array)
    #expect(Set(panels.compactMap { $0["id"]?.int }).count == panels.count)
    var taken: Set<[Int]> = []
    for panel in panels {
      let place = try #require(panel["gridPos"])
      let (x, y) = (try #require(place["x"]?.int), try #require(place["y"]?.int))
      let (w, h) = (try #require(place["w"]?.int), try #require(place["h"]?.int))
      #expect(x + w <= 24)
      for cell in (x..<x + w).flatMap({ column in (y..<y + h).map { [column, $0] } }) {
        #expect(taken.insert(cell).inserted, "\(panel["title"]?.string ?? "")")
      }
    }
  }
}
