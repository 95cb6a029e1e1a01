import ArgumentParser
import Dispatch
import DockrionCore
import DockrionServer
import Glibc

/// The program that is running: what it is called, and which agents it can serve.
package struct Program: Sendable {
  /// Its name, as help texts and messages show it.
  package let name: String
  /// The agents that a Dockfile may name, the built-in ones included.
  package let agents: [String: any Agent]
  /// The names of those that are the program's own.
  package let ownAgents: Set<String>
  /// The Dockfile that a command takes where none is named.
  package let dockfile: String

  /// The program whose command is executed; `dockrion` itself unless it was started with others.
  @TaskLocal package static var current = Program(
    name: "dockrion", agents: BuiltinAgents.all, ownAgents: [], dockfile: "Dockfile.yaml")

  /// Parses the process's arguments and runs the command that they name.
  ///
  /// It returns when the command has done what it was asked for. In every other case the process ends with one
  /// of `Exit`'s codes, after a sentence on standard error: this is the one place that decides it.
  package func run(_ root: any ParsableCommand.Type) {
    // What a shell shows for an interrupted program, also where nothing looks at signals. Commands that have
    // something to put in order first take the signal themselves.
    if !Interrupt.isIgnored { signal(SIGINT) { _ in _exit(Exit.interrupted) } }
    Program.$current.withValue(self) {
      do {
        var command = try root.parseAsRoot()
        try command.run()
      } catch let error as CommandError {
        Report.error("\(name): \(error)")
        exit(Exit.failure)
      } catch {
        let code = root.exitCode(for: error)
        let message =
          UnknownCommand.explanation(root, Array(CommandLine.arguments.dropFirst()))
          ?? UnknownOption.withHelpInMind(root.fullMessage(for: error))
        if code.isSuccess {
          if !message.isEmpty { Output.line(message) }
        } else if !message.isEmpty {
          let format = LineLogHandler.Format.asked(in: CommandLine.arguments)
          Report.error(format.lines(message, level: .critical))
        }
        exit(code == .validationFailure ? Exit.usage : code.rawValue)
      }
    }
  }
}

/// Ctrl-C.
package enum Interrupt {
  /// True where whoever started the process wants it to ignore Ctrl-C, as shells do for what runs behind a script.
  package static let isIgnored: Bool = {
    var action = sigaction()
    guard sigaction(SIGINT, nil, &action) == 0 else { return false }
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
      == unsafeBitCast(SIG_IGN, to: Int.self)
  }()

  /// Calls `body` at each Ctrl-C, until the source is cancelled; nil where Ctrl-C is to be ignored.
  ///
  /// From the return on no Ctrl-C is lost: Dispatch takes the signal over on a thread of its own, which is waited for.
  package static func source(_ body: @escaping @Sendable () -> Void) -> (any DispatchSourceSignal)? {
    if isIgnored { return nil }
    let source = DispatchSource.makeSignalSource(
      signal: SIGINT, queue: DispatchQueue(label: "dockrion.interrupts"))
    let isRegistered = DispatchSemaphore(value: 0)
    source.setRegistrationHandler { isRegistered.signal() }
    source.setEventHandler(handler: body)
    source.resume()
    isRegistered.wait()
    return source
  }
}

/// The exit codes; `docs/cli.md` lists them.
package enum Exit {
  package static let failure: Int32 = 1
  package static let usage: Int32 = 2
  package static let interrupted: Int32 = 130
}

/// Why a command could not do what it was asked for: a sentence, or several lines.
package struct CommandError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }

  /// Adds what the system says about `code`, which is evaluated first: making the sentence may change `errno`.
  package static func system(_ code: Int32, _ context: @autoclosure () -> String) -> CommandError {
    CommandError("\(context()): \(String(cString: strerror(code)))")
  }
}
