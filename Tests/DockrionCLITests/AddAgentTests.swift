import DockrionCore
import Foundation
import TestSupport
import Testing

@testable import DockrionCLI
@testable import DockrionProgram

/// `dockrion add agent`: one more agent, and every other byte stays.
struct AddAgentTests {
  private static let entry = """
      - name: search
        handler: searcher          # the name under which the agent is registered

    """

  /// Whole files, before and after.
  private static let golden: [(before: String, after: String)] = [
    (
      """
      # Who answers.
      agent:              # one
        # its name
        name: support     # quoted nowhere
        handler: 'bot'

        description: >-
          folded

            more
      # said of expose
      expose:
        port: 9000

      """,
      """
      # Who answers.
      agents:              # one
        # its name
        - name: support     # quoted nowhere
          handler: 'bot'

          description: >-
            folded

              more
        - name: search
          handler: searcher          # the name under which the agent is registered
      # said of expose
      expose:
        port: 9000

      """
    ),
    (
      "agent: {name: support, handler: bot}   # short\nmetadata: {agent: x}\n",
      """
      agents:
        - {name: support, handler: bot}   # short
        - name: search
          handler: searcher          # the name under which the agent is registered
      metadata: {agent: x}

      """
    ),
    (
      "expose: {port: 1}\n\n\"agent\":\n    name: support\n    # handler: old",
      """
      expose: {port: 1}

      "agents":
          - name: support
            # handler: old
          - name: search
            handler: searcher          # the name under which the agent is registered
      """
    ),
    (
      "agents:\n- name: a\n  handler: echo\n\n- name: b\n# next\nexpose: {}\n",
      """
      agents:
      - name: a
        handler: echo

      - name: b
      - name: search
        handler: searcher          # the name under which the agent is registered
      # next
      expose: {}

      """
    ),
    (
      "agents:\n  # first\n  - {name: a}\n  # - {name: old}\n\nexpose: {}\n",
      """
      agents:
        # first
        - {name: a}
        # - {name: old}
        - name: search
          handler: searcher          # the name under which the agent is registered

      expose: {}

      """
    ),
    (
      "agents: [{name: a}, {name: b}]  # ] both\nexpose: {}\n",
      "agents: [{name: a}, {name: b}, {name: search, handler: searcher}]  # ] both\nexpose: {}\n"
    ),
    (
      "agents: [\n  {name: a},\n  {name: b},\n]\n",
      "agents: [\n  {name: a},\n  {name: b}, {name: search, handler: searcher}\n]\n"
    ),
  ]

  private static func added(_ text: String) throws -> String {
    try SectionEditor(text, path: "D").adding(AgentEntry(name: "search", handler: "searcher"))
  }

  @Test(arguments: golden) func addsAnAgentAndNothingElse(before: String, after: String) throws {
    let new = try Self.added(before)
    #expect(new == after, "\(new)")
    let (old, read) = (try Dockfile.parse(before), try Dockfile.parse(new))
    #expect(read.warnings == old.warnings)
    #expect(read.agents.map(\.name) == old.agents.map(\.name) + ["search"])
    #expect(read.agent.name == old.agent.name && read.agent.description == old.agent.description)
    #expect(read.agents.last?.handler == "searcher")
    let carriage = before.replacing("\n", with: "\r\n")
    #expect(try Array(Self.added(carriage).utf8) == Array(after.replacing("\n", with: "\r\n").utf8))
  }

  @Test func theProgramWritesIt() throws {
    let directory = try TemporaryDirectory(dockfile: "# mine\nagent:\n  name: a   # one\n")
    let result = try dockrion("add", "agent", "search", "--handler", "searcher", in: directory)
    #expect(result.code == 0, "\(result.err)")
    #expect(result.out == "Dockfile.yaml: wrote the agent search\n")
    #expect(result.err.contains("served below /agents/search; the routes without prefix are those of a"))
    #expect(
      try directory.read("Dockfile.yaml") == "# mine\nagents:\n  - name: a   # one\n"
        + "  - name: search\n    handler: searcher          # the name under which the agent is registered\n")
    let more = try dockrion(
      "add", "agent", "third", "Dockfile.yaml", "--description", "does: [a, lot]", "--framework", "custom",
      in: directory)
    #expect(more.code == 0, "\(more.err)")
    let read = try Dockfile.parse(directory.read("Dockfile.yaml"))
    #expect(read.agents.map(\.name) == ["a", "search", "third"] && read.agent.name == "a")
    #expect(read.agents[2].description == "does: [a, lot]" && read.agents[2].framework == "custom")
    #expect(read.agents[2].lookupName == "echo" && read.warnings.isEmpty)
    #expect(try dockrion("validate", in: directory).code == 0)
  }

  @Test func aNameThatIsThereIsRefused() throws {
    for (text, place) in [
      ("version: \"1.0\"\nagent: {name: a}\n", "Dockfile.yaml:2: agent has the name a already"),
      ("agents: [{name: b}, {name: a}]\n", "Dockfile.yaml:1: agents[1] has the name a already"),
      ("agents:\n  - name: \"${NAME:-a}\"\n", "Dockfile.yaml:1: agents[0] has the name a already"),
    ] {
      let directory = try TemporaryDirectory(dockfile: text)
      let result = try dockrion("add", "agent", "a", in: directory)
      #expect(result.code == 1)
      #expect(result.err.contains(place), "\(result.err)")
      #expect(try directory.read("Dockfile.yaml") == text)
    }
  }

  @Test func wrongWordsAreUsageErrors() throws {
    let directory = try TemporaryDirectory(dockfile: "agent: {name: a}\n")
    for arguments in [["a b"], ["b", "--handler", ""], ["b", "--framework", "java"], []] {
      let result = try Command(["add", "agent"] + arguments, in: directory).finish()
      #expect(result.code == 2, "\(arguments)")
    }
    #expect(try directory.read("Dockfile.yaml") == "agent: {name: a}\n")
  }

  @Test func aDryRunPrintsADifferenceThatApplies() throws {
    for (before, _) in Self.golden {
      let directory = try TemporaryDirectory(dockfile: before)
      let shown = try dockrion(
        "add", "agent", "search", "--handler", "searcher", "--dry-run", in: directory)
      #expect(shown.code == 0, "\(shown.err)")
      #expect(try directory.read("Dockfile.yaml") == before)
      #expect(try dockrion("add", "agent", "search", "--handler", "searcher", in: directory).code == 0)
      #expect(try applied(shown.out, to: before) == (try directory.read("Dockfile.yaml")))
    }
  }

  @Test(arguments: [
    ("{agent: {name: a}}\n", "stands in braces"),
    ("agent: {name: a}\nagent: {name: b}\n", "more than once"),
    ("agent: {name: a}\nagents: [{name: b}]\n", "agent stands there too"),
    ("x: &x {agent: {name: a}}\n<<: *x\n", "comes from a merge"),
    ("? agent\n: {name: a}\n", "not written at the start of a line"),
    ("agents: {name: a}\n", "cannot be added to"),
    ("x: &x [{name: a}]\nagents: *x\n", "cannot be added to"),
    ("agent:\n", "cannot be added to"),
    ("- a\n", "not a mapping"),
  ]) func whatCannotBeEditedIsRefused(text: String, reason: String) throws {
    let directory = try TemporaryDirectory(dockfile: text)
    let result = try dockrion("add", "agent", "search", in: directory)
    #expect(result.code == 1, "\(text)")
    #expect(result.err.contains(reason), "\(text): \(result.err)")
    #expect(try directory.read("Dockfile.yaml") == text)
  }

  @Test func aFileWithoutAnAgentGetsAList() throws {
    let new = try Self.added("expose:\n  port: 9000\n")
    #expect(new == "expose:\n  port: 9000\n\nagents:\n" + Self.entry)
  }

  // MARK: Generated files

  private static let heads = ["", "# Dockfile\n", "---\n", "# a\n\n---   # b\n# c: {d}\n\n", "\u{FEFF}"]
  private static let agents = [
    "agent: {name: a}\n", "agent:\n  name: \"a\"\n", "'agent':   # quoted\n    name: 'a'\n\n\n",
    "agent: &agent\n  # inside\n  name: a\n  description: \"tab\\there\tand there\"\n",
    "agent:\n  name: a\n  description: >-\n    folded\n    # no comment\n\n    agent: no key\n",
    "\"agent\": {name: a,\n  description: 'it''s # no comment\n\n  agents: x'}\n",
    "agent:\n  name: a\n  description: |2-\n      two in\n     \n\n   x\n# left\n  handler: h\n",
    "agent:\n  {name: a}\n", "agent:\n  # c\n\n  &x\n  name: a\n", "agent : {name: a}\n",
    "agent:\n  name: a\n  description: \"over\n    lines\n\n    here\"\n  # last\n",
    "agent:\n  name: a\n  description: |+\n    keeps\n\n\n",
    "agents:\n  - name: a\n  - name: b\n    description: |+\n      keeps\n\n\n",
    "agents:\n- {name: a}\n-   name: b\n    metadata:\n      - no: mapping\n", "agents: [{name: a}]\n",
    "agents: # all\n\n  # one\n  -\n    name: a\n", "agents: [ {name: a},\n {name: b} # ] x\n ]\n",
    "agents: &all\n  - &one {name: a}\n  - <<: *one\n    name: b\n", "agents:\n    - name: 'a]'   # ]\n",
  ]
  private static let others = [
    "", "\nexpose:\n  port: 9000   # mine\n", "metadata:\n  agent: {nested: true}\n  agents: [1,\n    2]\n",
    "# between\n  # further in\nauth:\n  mode: none\n", "metadata:\n  text: |\n    agent:\n      - x\n\n\n",
    "\n\n# end\n", "   \n",
  ]

  private static func samples(_ count: Int) -> [String] {
    var generator = SplitMix64(state: 12)
    return (0..<count).map { index in
      func pick(_ list: [String]) -> String { list[Int(generator.next() % UInt64(list.count))] }
      let agent = agents[index % agents.count]
      let parts = generator.next() % 3 == 0 ? [pick(others), agent] : [agent, pick(others)]
      var text = pick(heads) + parts.joined()
      if generator.next() % 3 == 0 { text += "runtime: {worker_threads: 4}\n" }
      if generator.next() % 4 == 0, text.hasSuffix("\n") { text.removeLast() }
      if generator.next() % 3 == 0 { text = text.replacing("\n", with: "\r\n") }
      return text
    }
  }

  /// Lines without their indentation, a dash in front of it and the key's own line.
  private func bones(_ text: String) -> [String] {
    text.replacing("\r\n", with: "\n").split(separator: "\n", omittingEmptySubsequences: false).map { line in
      var rest = line[...]
      while let first = rest.first, first == " " || first == "-" { rest = rest.dropFirst() }
      return String(rest)
    }
  }

  @Test func saysTheSameOfEverythingElse() throws {
    var (changed, refused) = (0, [String]())
    for text in Self.samples(600) {
      guard let old = try? Dockfile.parse(text) else { continue }
      let new: String
      do { new = try Self.added(text) } catch let error as CommandError {
        refused.append("\(error) \(text.debugDescription)")
        continue
      }
      changed += 1
      let read = try Dockfile.parse(new)
      let note = "\(text.debugDescription) became \(new.debugDescription)"
      #expect(read.agents.map(\.name) == old.agents.map(\.name) + ["search"], "\(note)")
      #expect(zip(old.agents, read.agents).allSatisfy { "\($0)" == "\($1)" }, "\(note)")
      #expect(read.metadata == old.metadata && "\(read.expose)" == "\(old.expose)", "\(note)")
      #expect("\(read.runtime)" == "\(old.runtime)" && "\(read.streaming)" == "\(old.streaming)", "\(note)")
      // Every line is there still, in its order.
      var left = bones(new)[...]
      for line in bones(text) where !line.contains("agent") && !line.isEmpty && !old.agents.isEmpty {
        guard let at = left.firstIndex(where: { $0.contains(line) }) else {
          Issue.record("\(line.debugDescription) is lost: \(note)")
          break
        }
        left = left[(at + 1)...]
      }
      if text.contains("\r\n") {
        #expect(new.replacing("\r\n", with: "").contains("\n") == false, "\(note)")
      } else {
        #expect(!new.contains("\r"), "\(note)")
      }
    }
    #expect(changed > 400, "\(changed)")
    // A block of text that keeps its line ends up to the file's end is all that cannot be had.
    #expect(refused.allSatisfy { $0.contains("|+") }, "\(refused.joined(separator: "\n"))")
  }

  /// Files in which a line was lost, doubled, moved or put in: what comes out says the same of everything else.
  @Test func neverChangesWhatItDoesNotOwn() throws {
    var generator = SplitMix64(state: 21)
    let odd = [
      "agent: {name: b}", "agents:", "  - x", "---", "...", "\tx: 1", "? agent", ": y", "<<: *agent",
      "metadata: |+",
      "  # x", "'", "\"", "}", "]", "&x", "metadata: *agent", "  a: 1", "- {name: c}", "  default: true",
    ]
    var (changed, refused) = (0, 0)
    for sample in Self.samples(600) {
      var lines = sample.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      for _ in 0..<(1 + generator.next() % 2) {
        let at = Int(generator.next() % UInt64(lines.count))
        switch generator.next() % 4 {
        case 0: lines.remove(at: at)
        case 1: lines.insert(lines[at], at: at)
        case 2: lines.swapAt(at, Int(generator.next() % UInt64(lines.count)))
        default: lines.insert(odd[Int(generator.next() % UInt64(odd.count))], at: at)
        }
        if lines.isEmpty { lines = [""] }
      }
      let text = lines.joined(separator: "\n")
      let new: String
      do { new = try Self.added(text) } catch {
        #expect(!"\(error)".isEmpty)
        refused += 1
        continue
      }
      guard let old = try? Dockfile.parse(text) else { continue }
      changed += 1
      let note = "\(text.debugDescription) became \(new.debugDescription)"
      let read = try #require(try? Dockfile.parse(new), "\(note)")
      #expect(read.agents.map(\.name) == old.agents.map(\.name) + ["search"], "\(note)")
      #expect(read.metadata == old.metadata && "\(read.expose)" == "\(old.expose)", "\(note)")
      #expect("\(read.runtime)" == "\(old.runtime)" && "\(read.streaming)" == "\(old.streaming)", "\(note)")
    }
    #expect(changed > 100 && refused > 50, "\(changed) \(refused)")
  }
}
