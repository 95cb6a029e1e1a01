import ArgumentParser
import DockrionCore

/// What is said about a word that stands where a command is needed and is none.
package enum UnknownCommand {
  /// Nil where the arguments name commands that exist, or need none.
  package static func explanation(_ root: any ParsableCommand.Type, _ arguments: [String])
    -> String?
  {
    var command: any ParsableCommand.Type = root
    var path = [name(of: root)]
    for word in arguments {
      let commands = subcommands(of: command)
      if word.hasPrefix("-") || commands.isEmpty || word == "help" { return nil }
      if let next = commands.first(where: { name(of: $0) == word }) {
        command = next
        path.append(word)
        continue
      }
      // A command that is taken where none is named gets the word as its argument.
      if command.configuration.defaultSubcommand != nil { return nil }
      let names = commands.map(name(of:))
      let place = path.joined(separator: " ")
      let hint = nearestKey(to: word, among: names).map { "did you mean \($0)?" }
      return """
        Error: \(quoted(word)) is no command of \(place); \(hint ?? "there are " + names.joined(separator: ", "))
        See '\(place) --help' for more information.
        """
    }
    return nil
  }

  /// The command that somebody may have meant who named a file that is not there.
  static func nearest(to word: String) -> String? {
    nearestKey(to: word, among: subcommands(of: ProgramCommand.self).map(name(of:)))
  }

  private static func name(of command: any ParsableCommand.Type) -> String {
    command.configuration.commandName ?? "\(command)".lowercased()
  }

  private static func subcommands(of command: any ParsableCommand.Type)
    -> [any ParsableCommand.Type]
  {
    let configuration = command.configuration
    return configuration.subcommands.isEmpty
      ? configuration.groupedSubcommands.flatMap(\.subcommands) : configuration.subcommands
  }
}
