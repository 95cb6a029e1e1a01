import Foundation
import Testing

@testable import DockrionCore

/// Files that are no Dockfile at all, and files made to hurt.
@Suite struct DockfileFileTests {
  /// The errors of a file with these bytes, without its path.
  private func loadErrors(_ bytes: [UInt8]) throws -> [String] {
    let path = FileManager.default.temporaryDirectory.appending(path: "dockfile-\(UUID().uuidString).yaml")
      .path
    try Data(bytes).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return loadErrors(path: path).map { $0.replacing(path, with: "F") }
  }

  private func loadErrors(path: String) -> [String] {
    do throws(DockfileError) {
      _ = try Dockfile.load(path: path, environment: [:])
      return []
    } catch {
      return error.issues.map(\.description)
    }
  }

  @Test func aFileIsReadFromItsPath() throws {
    #expect(try loadErrors(Array("agent: {name: a}".utf8)) == [])
    #expect(
      try loadErrors([0xEF, 0xBB, 0xBF] + Array("agent: {name: a}\r\nexpose:\r\n  port: 1\r\n".utf8)) == [])
  }

  @Test func whatIsNoFileSaysSo() {
    #expect(loadErrors(path: "/nonexistent/D.yaml") == ["/nonexistent/D.yaml: there is no such file"])
    #expect(loadErrors(path: "/tmp") == ["/tmp: this is a directory; the path of a file is needed"])
    #expect(
      loadErrors(path: "/dev/zero")
        == ["/dev/zero: the file is longer than 1 MiB, which is more than a Dockfile may have"])
    #expect(loadErrors(path: "/dev/null") == ["/dev/null: the file is empty; at least agent.name is needed"])
  }

  @Test func bytesThatAreNotUTF8HaveAPlace() throws {
    #expect(try loadErrors(Array("a: b\nä: ".utf8) + [0xFF, 0x41]) == ["F:2:4: this is not UTF-8 text"])
    #expect(try loadErrors([0xFF, 0xFE, 0x61, 0]) == ["F:1:1: this is not UTF-8 text"])
  }

  @Test func tenMegabytesAreRefusedUnread() throws {
    let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: 10 << 20)
    #expect(
      try loadErrors(bytes) == ["F: the file is longer than 1 MiB, which is more than a Dockfile may have"])
    #expect(
      errors(String(decoding: bytes, as: UTF8.self))
        == ["D: the file has 10485760 bytes; a Dockfile has at most 1 MiB"])
  }

  @Test(arguments: ["", "\n", "# only a comment", "---", "--- ~", "null", "${E}"])
  func anEmptyFileSaysSo(_ text: String) {
    #expect(
      errors(text, environment: ["E": ""]) == ["D: the file is empty; at least agent.name is needed"])
  }

  @Test(arguments: [("- a", "a list"), ("text", "\"text\""), ("5", "5"), ("[a]", "a list")])
  func aFileThatIsNoMappingSaysSo(_ text: String, _ shown: String) {
    #expect(errors(text) == ["D:1:1: \(shown) stands where a mapping of keys such as agent: is needed"])
  }

  @Test func syntaxErrorsHaveAPlace() {
    #expect(
      errors("agent:\n  name: a\n port: 5") == [
        "D:3:2: this is not YAML: did not find expected key while parsing a block mapping that begins in line 1"
      ])
    #expect(errors("agent: {name: a").first?.hasPrefix("D:2:1: this is not YAML: did not find") == true)
    #expect(errors("agent: 'a").first?.contains("unexpected end of stream") == true)
    #expect(errors("a: b: c").first?.hasPrefix("D:1:5: this is not YAML: mapping values are not") == true)
    #expect(errors("a: *b") == ["D:1:4: this is not YAML: found undefined alias"])
    #expect(errors("a: &b [*b]") == ["D:1:8: this is not YAML: found undefined alias"])
    #expect(errors("a: @b").count == 1)
  }

  @Test func tabsAreNamed() {
    let message = "a tab stands here; YAML is indented with spaces"
    #expect(errors("agent:\n\tname: a") == ["D:2:1: \(message)"])
    #expect(errors("agent:\n  name: a\n  \thandler: b") == ["D:3:3: \(message)"])
  }

  @Test func controlCharactersHaveAPlace() {
    #expect(errors("agent:\n  na\u{1}me: a") == ["D:2:5: the character U+1 is not allowed in YAML"])
    #expect(errors("a: \0") == ["D:1:4: the character U+0 is not allowed in YAML"])
    #expect(errors("a: \u{7F}") == ["D:1:4: the character U+7F is not allowed in YAML"])
    #expect(errors("a: \u{FFFE}") == ["D:1:4: the character U+FFFE is not allowed in YAML"])
    #expect(sectionErrors("metadata: {smile: \u{1F600}}") == [])
  }

  @Test func aSecondDocumentIsAnError() {
    #expect(
      errors("agent: {name: a}\n---\nagent: {name: b}")
        == ["D:2:1: a second YAML document begins here; a Dockfile is one document"])
    #expect(errors("---\nagent: {name: a}\n...\n") == [])
  }

  @Test func duplicateKeysAreFoundTogetherWithOtherErrors() {
    let yaml = """
      agent: {name: a, name: b}
      expose:
        port: 1
        rest: 5
        "port": 0
        port: 3
      metadata: {}
      metadata: {}
      """
    #expect(
      errors(yaml) == [
        "D:1:18: agent.name: the key stands twice in this mapping, first in line 1",
        "D:4:9: expose.rest: 5 is neither true nor false",
        "D:5:3: expose.port: the key stands twice in this mapping, first in line 3",
        "D:6:3: expose.port: the key stands twice in this mapping, first in line 5",
        "D:8:1: metadata: the key stands twice in this mapping, first in line 7",
      ])
  }

  @Test func aDuplicateThatCannotBeRenamedIsAnErrorAllTheSame() {
    #expect(
      errors("&a x: 1\n*a : 2") == ["D:1:1: the key \"x\" stands more than once in this mapping"])
    #expect(errors("\"\\x61\": 1\na: 2") == ["D:1:1: the key \"a\" stands more than once in this mapping"])
    let many = (0..<40).map { "k\($0): 1\nk\($0): 2\n" }.joined()
    #expect(errors(many).count == 1)
  }

  @Test func keysAreText() {
    #expect(
      errors("agent: {name: a}\n? [a]\n: 1") == ["D:2:3: a list or mapping stands where a key is needed"])
    #expect(sectionErrors("metadata: {1: a, true: b}") == [])
    #expect(
      sectionErrors("metadata: {a: !custom b}")
        == ["D:2:15: metadata.a: the tag \"!custom\" is not known; leave it out"])
    #expect(sectionErrors("expose: {port: !!int 80}") == [])
  }

  @Test func anchorsAndMergesAreExpanded() throws {
    let yaml = """
      metadata:
        base: &base {a: 1, b: 2}
        other: {<<: *base, b: 3}
        list: {<<: [*base, {c: 4}]}
      """
    let metadata = try readSection(yaml).metadata
    #expect(metadata["other"] == ["a": 1, "b": 3])
    #expect(metadata["list"] == ["a": 1, "b": 2, "c": 4])
    #expect(
      sectionErrors("metadata: {<<: 5}")
        == ["D:2:16: metadata.<<: 5 stands where a mapping to merge is needed"].map {
          $0.replacing("metadata.<<", with: "metadata.\"<<\"")
        })
  }

  @Test(.timeLimit(.minutes(1))) func aliasBombsAreRefused() {
    var laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in 1...9 {
      laughs +=
        "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",")
        + "]\n"
    }
    #expect(
      errors(laughs)
        == ["D:5:30: the file uses anchors 81 times; at most 32 aliases are expanded"])
    // Few enough aliases to get to the tree, many enough to fill memory there.
    var few =
      "agent: {name: a}\nmetadata:\n  a0: &a0 [" + Array(repeating: "x", count: 100).joined(separator: ",")
      + "]\n"
    for level in 1...10 {
      few +=
        "  a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 3).joined(separator: ",")
        + "]\n"
    }
    #expect(errors(few).count == 1)
    #expect(errors(few).first?.hasSuffix("values or 4 MiB of text once its aliases are expanded") == true)
    // As a key, where the parser itself compares the expanded trees.
    #expect(errors(few + "? *a10\n: 1\n? *a10\n: 2").isEmpty == false)
    let text =
      "metadata:\n  t: &t \(String(repeating: "x", count: 300_000))\n  l: ["
      + Array(repeating: "*t", count: 20).joined(separator: ",") + "]"
    #expect(sectionErrors(text).first?.hasSuffix("once its aliases are expanded") == true)
  }

  @Test func prosaicStarsAreNoAliases() throws {
    let stars = String(repeating: "    *word* & other\n", count: 100)
    #expect(sectionErrors("metadata:\n  text: |\n\(stars)  a: &anchor 1\n  b: *anchor") == [])
  }

  @Test(.timeLimit(.minutes(1))) func deepNestingIsRefused() {
    let atBound = String(repeating: "[", count: 63) + String(repeating: "]", count: 63)
    #expect(sectionErrors("metadata: {a: \(atBound)}") == [])
    #expect(sectionErrors("metadata: {a: [\(atBound)]}").count == 1)
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", "")] {
      for count in [70, 900, 200_000] {
        let text =
          "metadata:\n  a:\n    " + String(repeating: open, count: count)
          + String(repeating: close, count: count)
        let messages = sectionErrors(text)
        #expect(messages.count == 1, "\(open) \(count)")
        #expect(messages.first?.hasSuffix("lists and mappings are nested deeper than 64") == true)
      }
    }
  }

  @Test(.timeLimit(.minutes(1))) func manyKeysAreReadInTime() {
    let many = "metadata:\n" + (0..<80_000).map { "  k\($0): 1\n" }.joined()
    #expect(sectionErrors(many) == [])
    #expect(sectionErrors((0..<60_000).map { "unknown\($0): 1\n" }.joined()) == [])
    let tooMany = "metadata: [" + String(repeating: "1,", count: 110_000) + "1]"
    #expect(sectionErrors(tooMany).count == 1)
  }
}
