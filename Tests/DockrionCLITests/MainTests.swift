import Testing

/// What holds for every command.
struct MainTests {
  static let commands = [
    ["run"], ["init"], ["add", "streaming"], ["add", "auth"], ["validate"], ["schema"], ["test"], ["tail"],
    ["invoke"], ["runs"], ["cancel"], ["doctor"], ["version"],
  ]

  @Test(arguments: commands)
  func helpHasAnExample(command: [String]) throws {
    let directory = try TemporaryDirectory()
    let result = try Command(command + ["--help"], in: directory).finish()
    #expect(result.code == 0)
    #expect(
      result.out.replacing("\n", with: " ").contains("Example: dockrion " + command.joined(separator: " ")))
  }

  @Test(arguments: commands)
  func anUnknownOptionIsWrongUsage(command: [String]) throws {
    let directory = try TemporaryDirectory()
    let id = [["tail"], ["cancel"]].contains(command) ? ["r"] : []
    let result = try Command(command + id + ["--frobnicate"], in: directory).finish()
    #expect(result.code == 2)
    #expect(result.out.isEmpty)
    #expect(result.err.contains("--frobnicate"))
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func makesCompletions(shell: String) throws {
    let directory = try TemporaryDirectory()
    let result = try dockrion("--generate-completion-script", shell, in: directory)
    #expect(result.code == 0)
    #expect(result.out.contains("streaming-events"))
    // The Dockfile's name, wherever a command takes one.
    let kinds = result.out.matches(of: /yaml/).count
    #expect(kinds >= 4, "\(result.out)")
  }

  @Test func tellsItsVersion() throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("--version", in: directory).out == "0.1.0\n")
    let result = try dockrion("version", in: directory)
    #expect(result.code == 0)
    #expect(result.out.wholeMatch(of: /dockrion 0\.1\.0\nlibevent 2\.\S+\nmimalloc 2\.\S+\n/) != nil)
  }

  @Test func aMisspelledHelpIsNotTakenForAnotherOption() throws {
    let directory = try TemporaryDirectory()
    for words in [
      ["--hlp"], ["runs", "--hlp"], ["invoke", "--halp"], ["run", "--hepl"], ["tail", "r", "--helpp"],
    ] {
      let result = try Command(words, in: directory).finish()
      #expect(result.code == 2 && result.out.isEmpty)
      #expect(
        result.err.contains("Unknown option '\(words.last ?? "")'. Did you mean '--help'?\n"), "\(result.err)"
      )
    }
    // What is nearer to another option stays as it was.
    let other = try dockrion("runs", "--ulr", "x", in: directory)
    #expect(other.code == 2 && other.err.contains("Did you mean '--url'?"), "\(other.err)")
    let version = try dockrion("--versoin", in: directory)
    #expect(version.code == 2 && version.err.contains("Did you mean '--version'?"), "\(version.err)")
    let far = try dockrion("runs", "--frobnicate", in: directory)
    #expect(far.code == 2 && !far.err.contains("Did you mean"), "\(far.err)")
  }

  @Test func aNameOfNoCommandIsWrongUsage() throws {
    let directory = try TemporaryDirectory()
    #expect(try dockrion("frobnicate", in: directory).code == 2)
    for (words, sentence) in [
      (["vaildate"], "\"vaildate\" is no command of dockrion; did you mean validate?"),
      (["add", "steaming"], "\"steaming\" is no command of dockrion add; did you mean streaming?"),
      (["frobnicate"], "\"frobnicate\" is no command of dockrion; there are init, add, validate"),
    ] {
      let result = try Command(words, in: directory).finish()
      #expect(result.code == 2 && result.out.isEmpty)
      #expect(result.err.contains(sentence), "\(result.err)")
      #expect(result.err.contains("--help' for more information"))
    }
    #expect(try dockrion(in: directory).code == 0)
  }
}
