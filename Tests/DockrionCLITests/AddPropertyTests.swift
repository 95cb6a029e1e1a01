import DockrionCore
import Foundation
import TestSupport
import Testing

@testable import DockrionCLI
@testable import DockrionProgram

/// `add streaming` on generated Dockfiles: it changes its section and nothing else, or refuses with a reason.
struct AddPropertyTests {
  /// What stands before the keys.
  private static let heads = [
    "", "# Dockfile\n", "---\n", "%YAML 1.1\n---\n", "# a\n\n---   # b\n# c: {d}\n\n", "\n\n",
    "--- # {not: flow}\n",
  ]
  private static let agents = [
    "agent: {name: a}\n", "agent:\n  name: \"a\"\n", "'agent':   # quoted\n    name: 'a'\n\n\n",
    "agent: &agent\n  # inside\n  name: a\n  description: \"tab\\there\tand there\"\n",
    "agent:\n  name: a\n  description: >-\n    folded\n    # no comment\n\n    streaming: no key\n",
    "\"agent\": {name: a,\n  description: 'it''s # no comment\n\n  streaming: x'}\n",
  ]
  private static let others = [
    "", "\nexpose:\n  port: 9000   # mine\n",
    "metadata:\n  streaming: {nested: true}\n  \"a: b\": [1,\n    2]\n",
    "metadata:\n  text: |\n    streaming:\n      - x\n\n    # no comment\n  # a comment\n\n",
    "x-base: &base {port: 9001}\nexpose:\n  <<: *base\n",
    "# between\n  # further in\nauth:\n  mode: none\n",
    "metadata:\n    unicode: \"\u{E9}\u{1F600}\"   # \u{1F600}\n    tab: 'a\tb'\n",
  ]
  /// Sections that are there already.
  private static let sections = [
    "streaming:\n  async_runs: true\n", "streaming: {async_runs: true, backend: memory}\n",
    "\"streaming\":   # why\n  # inside\n  async_runs: true\n\n  events:\n    allowed: [token,\n      step]\n",
    "streaming:\n", "streaming: # nothing\n  ~\n",
    "'streaming' : &local\n  async_runs: true\n  events: {allowed: chat}\n  # last\n",
    "streaming:\n  redis: {url: 'redis://h'}\n  events:\n    allowed:\n    - token\n    - custom:a\n",
  ]
  /// What stands behind them, and is not theirs.
  private static let tails = [
    "", "\n", "# end\n", "\n\n# end\n  # further in, after a gap\n\n", "...\n", "# a\n...\n# b\n", "   \n",
  ]

  private struct Sample: CustomStringConvertible {
    var before: String
    var section: String?
    var after: String
    var margin = ""
    var lineEnd = "\n"
    var description: String { (before + "⟨" + (section ?? "") + "⟩" + after).debugDescription }
    var text: String { before + (section ?? "") + after }

    /// A section as it must stand in this file.
    func rendered(_ text: String) -> String {
      text.split(separator: "\n").map { margin + $0 + lineEnd }.joined()
    }
  }

  /// Samples from a fixed seed, so that a failure comes back.
  private static func samples(_ count: Int) -> [Sample] {
    var generator = SplitMix64(state: 20_251_123)
    return (0..<count).map { index in
      func pick(_ list: [String]) -> String { list[Int(generator.next() % UInt64(list.count))] }
      var before = pick(heads) + pick(agents) + pick(others)
      var section: String? = index.isMultiple(of: 3) ? nil : pick(sections)
      var after = pick(tails)
      var (margin, lineEnd) = ("", "\n")
      if section != nil, generator.next() % 5 == 0 {
        // The section comes first.
        let head = pick(heads)
        (before, after) = (head, pick(agents) + pick(others) + after)
      }
      // A section in the middle has a key behind it.
      if generator.next() % 3 == 0 { after = "\n# next\nruntime: {worker_threads: 4}\n" + after }
      if generator.next() % 4 == 0, after.hasSuffix("\n") { after.removeLast() }
      if after.isEmpty, generator.next() % 3 == 0 {
        if let given = section { section = String(given.dropLast()) } else { before.removeLast() }
      }
      if generator.next() % 5 == 0 {
        func indented(_ text: String) -> String {
          text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.isEmpty ? "" : "  " + $0 }
            .joined(separator: "\n")
        }
        if !before.contains("---"), !after.contains("...") {
          (before, section, after) = (indented(before), section.map(indented), indented(after))
          margin = "  "
        }
      }
      if generator.next() % 3 == 0 {
        func carriage(_ text: String) -> String { text.replacingOccurrences(of: "\n", with: "\r\n") }
        (before, section, after) = (carriage(before), section.map(carriage), carriage(after))
        lineEnd = "\r\n"
      }
      if generator.next() % 4 == 0 { before = "\u{FEFF}" + before }
      return Sample(before: before, section: section, after: after, margin: margin, lineEnd: lineEnd)
    }
  }

  @Test func changesOnlyItsSectionOrRefuses() throws {
    var valid = 0
    var refused: [String] = []
    for sample in Self.samples(600) {
      guard let old = try? Dockfile.parse(sample.text) else { continue }
      valid += 1
      let section = StreamingSection(
        asyncRuns: false, events: try EventWords(parsing: "token,custom:fraud"), heartbeat: 7)
      let new: String
      do {
        new = try SectionEditor(sample.text, path: "D").placing("streaming", section.text)
      } catch let error as CommandError {
        refused.append("\(error) \(sample)")
        continue
      }
      check(new, sample, section.text)
      let read = try Dockfile.parse(new)
      #expect(read.streaming.filter.words == ["token", "custom:fraud"], "\(sample)")
      #expect(!read.streaming.asyncRuns && read.streaming.heartbeatSeconds == 7, "\(sample)")
      #expect(read.agent.description == old.agent.description, "\(sample)")
      #expect(read.expose.port == old.expose.port && read.metadata == old.metadata, "\(sample)")
      #expect(read.runtime.workerThreads == old.runtime.workerThreads, "\(sample)")
    }
    // Nearly all samples are Dockfiles, and what can be edited is not refused.
    #expect(valid > 500, "\(valid)")
    #expect(refused.isEmpty, "\(refused.joined(separator: "\n"))")
  }

  private func check(_ new: String, _ sample: Sample, _ section: String) {
    let bytes = Array(new.utf8)
    var added = sample.rendered(section)
    if let given = sample.section {
      // A file whose section ends without a line end keeps that.
      if sample.after.isEmpty, !given.utf8.suffix(1).elementsEqual("\n".utf8) {
        added = String(added.utf8.dropLast(sample.lineEnd.utf8.count)) ?? ""
      }
      let wanted = Array((sample.before + added + sample.after).utf8)
      #expect(bytes == wanted, "\(sample) became \(new.debugDescription)")
    } else {
      // It was put in at one place, with at most two line ends in front.
      let old = Array(sample.text.utf8)
      let head = zip(old, bytes).prefix { $0 == $1 }.count
      let tail = zip(old.reversed(), bytes.reversed()).prefix { $0 == $1 }.count
      #expect(head + tail >= old.count, "\(sample) became \(new.debugDescription)")
      let more = bytes.count - old.count - added.utf8.count
      #expect((0...(2 * sample.lineEnd.utf8.count)).contains(more), "\(sample)")
      #expect(new.contains(added), "\(sample) became \(new.debugDescription)")
    }
    if sample.text.contains("\r\n") {
      let feeds = bytes.indices.filter { bytes[$0] == 0x0A }
      #expect(
        feeds.allSatisfy { $0 > 0 && bytes[$0 - 1] == 0x0D }, "\(sample) became \(new.debugDescription)")
    } else {
      #expect(!bytes.contains(0x0D), "\(sample)")
    }
  }

  /// Files in which a line was lost, doubled, moved or put in: whatever comes out must be a Dockfile that says
  /// the same about everything else.
  @Test func neverChangesTheMeaningOfWhatItDoesNotOwn() throws {
    var generator = SplitMix64(state: 7)
    let odd = [
      "streaming: {}", "agent: {name: b}", "  - x", "---", "...", "\tx: 1", "? streaming", ": y",
      "<<: *agent",
      "metadata: |+", "metadata: >-", "  # x", "'", "\"", "}", "&x", "metadata: *agent", "%YAML 1.2",
      "  a: 1",
    ]
    var (changed, refused) = (0, 0)
    for sample in Self.samples(400) {
      var lines = sample.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
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
      let section = StreamingSection(events: try EventWords(parsing: "token")).text
      let new: String
      do { new = try SectionEditor(text, path: "D").placing("streaming", section) } catch {
        #expect(!"\(error)".isEmpty)
        refused += 1
        continue
      }
      changed += 1
      guard let old = try? Dockfile.parse(text) else { continue }
      let read = try #require(try? Dockfile.parse(new), "\(text.debugDescription) → \(new.debugDescription)")
      #expect(read.streaming.filter.words == ["token"], "\(text.debugDescription)")
      #expect(
        read.metadata == old.metadata && "\(read.expose)" == "\(old.expose)"
          && "\(read.agent)" == "\(old.agent)" && "\(read.runtime)" == "\(old.runtime)",
        "\(text.debugDescription) → \(new.debugDescription)")
    }
    #expect(changed > 100 && refused > 50, "\(changed) \(refused)")
  }

  @Test(arguments: ["|+", "|", ">+", "|-"])
  func aBlockOfTextAtTheEndKeepsItsLineEnds(style: String) throws {
    for end in ["", "\n", "\n\n", "\n\n\n"] {
      let text = "agent: {name: a}\nmetadata:\n  text: \(style)\n    line\(end)"
      let old = try Dockfile.parse(text)
      do {
        let new = try SectionEditor(text, path: "D").placing("streaming", StreamingSection().text)
        #expect(try Dockfile.parse(new).metadata == old.metadata, "\(text.debugDescription)")
        #expect(new.hasPrefix(text))
      } catch let error as CommandError {
        #expect("\(error)".contains("block of text that keeps its line ends"))
        #expect(end.isEmpty, "\(text.debugDescription): \(error)")
      }
    }
  }

  @Test func theDifferenceOfEverySampleApplies() throws {
    for sample in Self.samples(120) where !sample.text.contains("\r") {
      guard let editor = try? SectionEditor(sample.text, path: "D"),
        let new = try? editor.placing("streaming", StreamingSection(events: nil).text)
      else { continue }
      let lines = UnifiedDiff.lines(from: sample.text, to: new, path: "D")
      #expect(try applied(lines.map { $0 + "\n" }.joined(), to: sample.text) == new, "\(sample)")
    }
  }

  @Test func theBuiltProgramDoesTheSame() throws {
    for sample in Self.samples(24) {
      let directory = try TemporaryDirectory(dockfile: sample.text)
      let result = try dockrion("add", "streaming", "--force", in: directory)
      let now = try directory.read("Dockfile.yaml")
      if result.code == 0 {
        check(now, sample, StreamingSection().text)
      } else {
        #expect(result.code == 1 && !result.err.isEmpty)
        #expect(Array(now.utf8) == Array(sample.text.utf8))
      }
    }
  }
}
