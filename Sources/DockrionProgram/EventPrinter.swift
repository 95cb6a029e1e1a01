import DockrionCore

/// Prints a run's events as they come: for a person, for a pipe, as lines of JSON, or as they came over the wire.
package final class EventPrinter {
  private let format: EventFormat
  private let terminal: Terminal
  private let write: (String) -> Void
  /// What stands on the current line of a terminal.
  private var open = OpenLine.none

  private enum OpenLine { case none, tokens, progress }

  package init(
    _ format: EventFormat, terminal: Terminal = .output, write: @escaping (String) -> Void = Output.text
  ) {
    self.format = format
    self.terminal = terminal
    self.write = write
  }

  package func print(_ event: ServerSentEvent) {
    switch format {
    case .jsonl: write(Terminal.harmless(json: event.data.replacing("\n", with: " ")) + "\n")
    case .sse: write(Self.wire(event))
    case .text:
      // They belong to the connection and say nothing about the run.
      if event.type == "heartbeat" || event.type == "timeout" { return }
      let fields = (try? JSONObject(parsing: event.data)) ?? [:]
      terminal.isInteractive ? show(event, fields) : write(Self.line(event, fields) + "\n")
    }
  }

  /// Prints the output of a run that completed, in the text format: the others have it in `complete`.
  package func printOutput(of event: ServerSentEvent) throws {
    guard format == .text, event.type == "complete" else { return }
    if let output = try JSONObject(parsing: event.data)["output"] {
      write(try JSONText.line(output) + "\n")
    }
  }

  /// Ends a line that tokens or progress have begun.
  package func finish() {
    if open != .none { write("\n") }
    open = .none
  }

  private static func wire(_ event: ServerSentEvent) -> String {
    var text = event.id.map { "id: \(Terminal.harmless($0))\n" } ?? ""
    text += "event: \(Terminal.harmless(event.type))\n"
    for line in Terminal.harmless(json: event.data).split(separator: "\n", omittingEmptySubsequences: false) {
      text += "data: \(line)\n"
    }
    return text + "\n"
  }

  private static func line(_ event: ServerSentEvent, _ fields: JSONObject) -> String {
    let number = fields["sequence"]?.int.map { "\($0)" } ?? "-"
    let name = Terminal.harmless(event.type)
    let details = details(event, fields)
    return details.isEmpty
      ? "\(number.padded(to: 4)) \(name)" : "\(number.padded(to: 4)) \(name.padded(to: 10)) \(details)"
  }

  // MARK: A person

  private func show(_ event: ServerSentEvent, _ fields: JSONObject) {
    switch event.type {
    case "token":
      if open == .progress { finish() }
      let content = fields["content"]?.string ?? ""
      write(Terminal.harmless(content, keepsLines: true))
      if !content.isEmpty { open = content.hasSuffix("\n") ? .none : .tokens }
    case "progress":
      if open == .tokens { finish() }
      let done = Int((Self.part(fields["progress"]?.double ?? 0) * 20).rounded())
      let bar = String(repeating: "█", count: done) + String(repeating: "░", count: 20 - done)
      write("\r\u{1B}[K\(bar) \(Self.details(event, fields))")
      open = .progress
    default:
      finish()
      write(styled(event, Self.line(event, fields)) + "\n")
    }
  }

  private func styled(_ event: ServerSentEvent, _ text: String) -> String {
    switch event.type {
    case "error", "cancelled", "gap": terminal.styled(text, .red)
    case "complete": terminal.styled(text, .green)
    default: terminal.styled(text, .dim)
    }
  }

  // MARK: Fields

  private static func details(_ event: ServerSentEvent, _ fields: JSONObject) -> String {
    func text(_ name: String) -> String? { fields[name]?.string.map { Terminal.harmless($0) } }
    var parts: [String?]
    switch event.type {
    case "started": parts = [text("agent_name"), text("framework").map { "(\($0))" }]
    case "progress":
      let percent = fields["progress"]?.double.map { "\(Int((part($0) * 100).rounded()))%" }
      parts = [percent, text("step"), text("message")]
    case "checkpoint": parts = [text("name"), json(fields["data"])]
    case "token": parts = [json(fields["content"]), text("finish_reason").map { "(\($0))" }]
    case "step": parts = [text("node_name"), fields["duration_ms"]?.double.map { "\($0) ms" }]
    case "complete": parts = [fields["latency_seconds"]?.double.map { "after \(Self.duration($0))" }]
    case "error":
      let details = fields["details"].flatMap { json($0) }
      parts = [text("code").map { "\($0):" }, text("error"), details]
    case "cancelled": parts = [text("reason")]
    case "gap":
      let (from, to) = (fields["from_sequence"]?.int ?? 0, fields["to_sequence"]?.int ?? 0)
      parts = ["events \(from) to \(to) are not kept any more"]
    default:
      let own = fields.filter { !EventEncoder.commonFields.contains($0.key) }
      parts = [own.isEmpty ? nil : json(.object(JSONObject(own.map { ($0.key, $0.value) })))]
    }
    return parts.compactMap(\.self).joined(separator: " ")
  }

  /// What servers clamp to; whoever sends something else may mean anything.
  private static func part(_ progress: Double) -> Double { min(max(progress, 0), 1) }

  private static func duration(_ seconds: Double) -> String {
    if seconds < 1 { return "\((seconds * 10_000).rounded() / 10) ms" }
    return "\((seconds * 1000).rounded() / 1000) s"
  }

  private static func json(_ value: JSONValue?) -> String? {
    guard let value, let text = try? JSONText.line(value) else { return nil }
    return text
  }
}
