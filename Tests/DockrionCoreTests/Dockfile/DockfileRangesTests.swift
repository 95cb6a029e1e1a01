import Testing

@testable import DockrionCore

/// Dockfiles that a program makes.
struct DockfileRangesTests {
  private static let made = Dockfile(agent: Dockfile.Agent(name: "a", description: "d", handler: "echo"))

  @Test func theDefaultsAreInRange() throws {
    #expect(throws: Never.self) { try Self.made.checkRanges() }
    #expect(Self.made.agent.lookupName == "echo")
    #expect(Self.made.expose.port == Dockfile.Expose().port)
  }

  @Test func everyNumberThatIsOutOfRangeIsNamed() throws {
    var dockfile = Self.made
    dockfile.expose.port = 70_000
    dockfile.runtime.ringCapacity = 1
    let error = #expect(throws: DockfileError.self) { try dockfile.checkRanges() }
    #expect(
      error?.description == """
        Dockfile: expose.port: 70000 is out of range (0…65535)
        Dockfile: runtime.ring_capacity: 1 is out of range (2…65536)
        """)
  }

  /// The reader has its ranges where it reads: they must be the same ones.
  @Test(arguments: DockfileRange.all.map(\.field))
  func theReaderHasTheSameRange(field: String) throws {
    let entry = try #require(DockfileRange.all.first { $0.field == field })
    func read(_ value: Int) -> Dockfile? {
      var parts = field.split(separator: ".").map(String.init)
      let key = parts.removeLast()
      var text = "{\(key): \(value)}"
      if parts.last == "redis" { text = "{\(key): \(value), url: \"redis://127.0.0.1\"}" }
      for part in parts.dropFirst().reversed() {
        text = part == "redis" ? "{backend: redis, redis: \(text)}" : "{\(part): \(text)}"
      }
      return try? Dockfile.parse("agent: {name: a}\n\(parts[0]): \(text)\n", environment: [:])
    }
    // A file cannot ask for just any port.
    let lowest = field == "expose.port" ? 1 : entry.range.lowerBound
    #expect(read(lowest).map { entry.value($0) } == lowest)
    #expect(read(entry.range.upperBound).map { entry.value($0) } == entry.range.upperBound)
    #expect(read(lowest - 1) == nil)
    #expect(read(entry.range.upperBound + 1) == nil)
  }

  @Test func noNumberIsForgotten() throws {
    var dockfile = Self.made
    dockfile.streaming.redis = Dockfile.Redis(url: .local)
    dockfile.runtime.python.processes = 1
    func numbers(_ value: Any) -> Int { Mirror(reflecting: value).children.count { $0.value is Int } }
    let all =
      numbers(dockfile.expose) + numbers(dockfile.streaming) + numbers(dockfile.runtime)
      + numbers(dockfile.runtime.python) + numbers(try #require(dockfile.streaming.redis))
    #expect(all == DockfileRange.all.count)
  }
}
