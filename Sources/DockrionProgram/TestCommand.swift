import ArgumentParser
import Dispatch
import DockrionCore
import Foundation

package struct TestCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "test",
    abstract: "Runs a Dockfile's agent once, in this process, and prints its events.",
    discussion: """
      The payload is checked against io_schema.input, as the server does it, and the output against \
      io_schema.output. Events pass the Dockfile's filter. The exit code is 1 when the agent fails, and 130 after \
      Ctrl-C, which cancels it; a second one ends at once.

      Example: \(Program.current.name) test -p '{"text":"Hello, world!"}'
      """)

  @Argument(help: "The Dockfile.", completion: .file(extensions: ["yaml", "yml"]))
  var dockfile = Program.current.dockfile

  @Option(help: ArgumentHelp("Which of the file's agents; the default one without.", valueName: "name"))
  var agent: String?

  @OptionGroup var payload: PayloadOptions

  @Option(help: "text; jsonl, an event's JSON a line; or sse, as /invoke/stream sends it.")
  var format = EventFormat.text

  package init() {}

  package func run() throws {
    let file: Dockfile
    do { file = try Dockfile.load(path: dockfile) } catch {
      for warning in error.warnings { Report.note(warning.line(as: "warning")) }
      throw CommandError("\(error)")
    }
    let served: Dockfile.Agent
    do { served = try file.agent(named: agent) } catch { throw CommandError("\(error)") }
    if served.isPython {
      throw CommandError(
        "\(quoted(served.lookupName)) is an agent in Python, which runs in processes of a server's: "
          + "\(Program.current.name) run \(dockfile), and then dockrion invoke")
    }
    let agents = Program.current.agents
    guard let agent = agents[served.lookupName] else {
      throw CommandError("\(file.unregistered(served, known: Array(agents.keys)))")
    }
    let input = try payload.read().object
    let schema = file.inputSchema(of: served)
    if let problem = (schema ?? agent.inputSchema)?.check(input) {
      let schema = schema == nil ? "what \(served.lookupName) takes" : "io_schema.input"
      throw CommandError("the payload does not fit \(schema): \(problem)")
    }
    let identity = EventEncoder.Identity.request(UUID().uuidString.lowercased())
    let run = LocalRun(file, agent: served, identity: identity)
    let interrupts = Interrupts(run.canceller)
    let printer = EventPrinter(format)
    var parser = ServerSentEventParser()
    var last: ServerSentEvent?
    let outcome = try run.play(agent, input: input) { sequence, record in
      var writer = ByteWriter()
      record.write(sequence: sequence, id: false, to: &writer)
      for event in try parser.feed(writer.bytes) {
        printer.print(event)
        last = event
      }
    }
    printer.finish()
    switch outcome {
    case .completed(let output):
      if let last { try printer.printOutput(of: last) }
      try check(output: output, file, served)
    case .failed, .cancelled: throw ExitCode(interrupts.happened ? Exit.interrupted : Exit.failure)
    }
  }

  private func check(output: [UInt8], _ file: Dockfile, _ served: Dockfile.Agent) throws {
    guard let document = (served.outputSchema ?? file.outputSchema)?.object else { return }
    let schema: InputSchema
    do { schema = try InputSchema(document) } catch {
      return Report.note("note: the output was not checked, io_schema.output is no schema: \(error)")
    }
    let object = try output.withUnsafeBytes { try JSONObject(parsing: $0) }
    if let problem = schema.check(object) {
      throw CommandError("the output does not fit io_schema.output: \(problem)")
    }
  }
}

/// Ctrl-C: the first cancels the run, the second ends the process.
private final class Interrupts {
  private let source: (any DispatchSourceSignal)?
  private let count = Locked(0)

  init(_ canceller: LocalRun.Canceller) {
    let count = count
    source = Interrupt.source {
      let times = count.withLock { count in
        count += 1
        return count
      }
      if times > 1 { _exit(Exit.interrupted) }
      canceller.cancel(reason: "interrupted")
    }
  }

  deinit { source?.cancel() }

  var happened: Bool { count.withLock { $0 } > 0 }
}
