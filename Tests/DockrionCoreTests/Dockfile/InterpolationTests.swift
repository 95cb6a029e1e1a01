import Testing

@testable import DockrionCore

@Suite struct InterpolationTests {
  private let interpolation = Interpolation(environment: ["A": "one", "EMPTY": "", "REF": "${A}", "_x9": "y"])

  private func failure(_ text: String) -> String? {
    do throws(Interpolation.Failure) {
      _ = try interpolation.expand(text)
      return nil
    } catch {
      return error.message
    }
  }

  @Test(arguments: [
    ("plain", "plain"), ("${A}", "one"), ("<${A}${_x9}>", "<oney>"), ("${EMPTY}", ""), ("${A:-two}", "one"),
    ("${NONE:-two}", "two"), ("${EMPTY:-two}", "two"), ("${NONE:-}", ""), ("${NONE:-a:-b}", "a:-b"),
    ("$${A}", "${A}"), ("$$${A}", "$${A}"), ("$${A} ${A}", "${A} one"), ("$A", "$A"), ("a$", "a$"),
    ("$$", "$$"),
    ("{A}", "{A}"), ("${REF}", "${A}"), ("${NONE:-ä}", "ä"), ("${A}\u{301}", "one\u{301}"),
  ]) func variablesAreReplaced(_ text: String, _ result: String) throws {
    #expect(try interpolation.expand(text) == result)
  }

  @Test func whatCannotBeReplacedIsNamed() {
    #expect(
      failure("${NONE}") == "the environment variable NONE is not set; set it or write ${NONE:-default}")
    #expect(failure("a ${A") == "\"${A\" has no closing brace; write $${ for a literal ${")
    for text in ["${}", "${1A}", "${A-b}", "${A:?b}", "${A:+b}", "${A B}", "${:-x}", "${A:=b}", "${ A }"] {
      #expect(failure(text) == "\"\(text)\" is not understood; use ${NAME} or ${NAME:-default}")
    }
    #expect(
      failure("${NONE:-${A}}") == "the default of ${NONE:-…} holds another ${; a default is plain text")
  }

  @Test func numbersBooleansAndListsMayComeFromTheEnvironment() throws {
    let yaml = """
      expose:
        port: ${PORT}
        rest: ${REST:-false}
        streaming: "${MODE:-sse}"
      streaming:
        events: {heartbeat_interval: "${BEAT}", allowed: ["${EVENT}"]}
      metadata: {number: "${BEAT}", text: $${BEAT}}
      """
    let environment = ["PORT": "9000", "BEAT": "30", "EVENT": "token"]
    // `$${…}` in a flow mapping needs quotes like every other brace.
    #expect(sectionErrors(yaml, environment: environment).first?.hasSuffix("needs quotes") == true)
    let dockfile = try readSection(
      yaml.replacing("$${BEAT}}", with: "'$${BEAT}'}"), environment: environment)
    #expect(dockfile.expose.port == 9000 && !dockfile.expose.rest && dockfile.expose.streaming)
    #expect(dockfile.streaming.heartbeatSeconds == 30)
    #expect(dockfile.streaming.filter.passes(.token) && !dockfile.streaming.filter.passes(.step))
    #expect(dockfile.metadata == ["number": "30", "text": "${BEAT}"])
  }

  @Test func anUnquotedValueHasTheTypeOfWhatItHolds() throws {
    let yaml = "metadata:\n  a: ${N}\n  b: ${N}0\n  c: ${E:-}\n  d: ${T}\n"
    let metadata = try readSection(yaml, environment: ["N": "4", "T": "true"]).metadata
    #expect(metadata == ["a": 4, "b": 40, "c": nil, "d": true])
  }

  @Test func anUnsetVariableIsAnErrorAtItsValue() {
    #expect(
      sectionErrors("expose:\n  port: ${PORT}\nmetadata:\n  a:\n    - x\n    - ${ALSO}") == [
        "D:3:9: expose.port: the environment variable PORT is not set; set it or write ${PORT:-default}",
        "D:7:7: metadata.a[1]: the environment variable ALSO is not set; set it or write ${ALSO:-default}",
      ])
    #expect(
      sectionErrors("io_schema:\n  input:\n    title: ${T}")
        == [
          "D:4:12: io_schema.input.title: the environment variable T is not set; set it or write ${T:-default}"
        ])
    #expect(
      errors("agent:\n  name: ${NAME}")
        == ["D:2:9: agent.name: the environment variable NAME is not set; set it or write ${NAME:-default}"])
  }

  @Test func aValueOutOfRangeIsShownAsItWasPutIn() {
    #expect(
      sectionErrors("expose:\n  port: ${PORT}", environment: ["PORT": "0"])
        == ["D:3:9: expose.port: 0 is out of range (1…65535)"])
  }
}

@Suite struct NearestKeyTests {
  @Test(arguments: [
    ("prot", "port"), ("hots", "host"), ("Port", "port"), ("port", "port"), ("por", "port"),
    ("heartbeat_intervall", "heartbeat_interval"),
  ]) func aMisspelledKeyFindsItsNeighbour(_ word: String, _ key: String) {
    #expect(nearestKey(to: word, among: ["host", "port", "heartbeat_interval"]) == key)
  }

  @Test(arguments: ["", "xyz", "ab", "interval", String(repeating: "p", count: 65)])
  func aFarKeyFindsNone(_ word: String) {
    #expect(nearestKey(to: word, among: ["host", "port", "heartbeat_interval"]) == nil)
  }

  @Test func theDistanceCountsEdits() {
    for (left, right, distance) in [
      ("", "", 0), ("abc", "abc", 0), ("abc", "", 3), ("abc", "acb", 1), ("abc", "abd", 1),
      ("abc", "abcd", 1),
      ("kitten", "sitting", 3), ("ab", "bca", 3),
    ] { #expect(editDistance(Array(left.utf8), Array(right.utf8)) == distance, "\(left) \(right)") }
  }
}
