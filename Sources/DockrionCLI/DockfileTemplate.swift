import DockrionCore

/// What `init` was asked for, and the Dockfile that says so.
struct DockfileTemplate {
  var name: String
  var framework = FrameworkWord.swift
  /// Nil serves the built-in `echo`, so that the file works before there is an agent.
  var handler: String?
  /// Names of further agents; with one the file has a list, in which `name` is the default.
  var others: [String] = []
  var streaming = StreamingWord.sse
  /// Nil leaves the section out, and the server's defaults hold.
  var section: StreamingSection?
  var cors = false
  var auth = AuthWord.none
  /// True where a Swift package with an agent of that name is written beside the file.
  var hasPackage = false

  var text: String {
    var lines = SectionLines()
    lines.add("# The Dockfile of \(name). `dockrion validate` checks it; `dockrion schema` is for editors.")
    lines.add("version: \"1.0\"")
    lines.add("")
    let isList = !others.isEmpty
    let margin = isList ? "    " : "  "
    lines.add(isList ? "agents:" : "agent:")
    lines.add("\(isList ? "  - " : margin)name: \(YAMLText.scalar(name))")
    if isList {
      lines.add("\(margin)default: true", "its routes have no prefix; every agent has /agents/NAME")
    }
    lines.add(
      "\(margin)framework: \(framework.rawValue)",
      framework == .swift ? nil : "a label; the agent is Swift code")
    if let handler {
      lines.add(
        "\(margin)handler: \(YAMLText.scalar(handler))", "the name under which the agent is registered")
    } else if hasPackage {
      lines.add("\(margin)handler: \(YAMLText.scalar(name))", "registered in Sources, beside this file")
    } else {
      lines.add("\(margin)handler: echo", "built in; put the name of your own agent here")
    }
    for other in others { lines.add(entry: AgentEntry(name: other)) }
    lines.add("")
    lines.add("expose:")
    lines.add("  rest: true", "POST /invoke")
    lines.add(
      "  streaming: \(streaming.rawValue)", streaming == .sse ? "POST /invoke/stream" : "no /invoke/stream")
    lines.add("  host: 127.0.0.1", "0.0.0.0 takes calls from other machines")
    lines.add("  port: 8080")
    if cors { lines.add("  cors: true", "any origin; better the list of your own") }
    var text = lines.text
    if let section { text += "\n" + section.text }
    if auth == .apiKey { text += "\n" + AuthSection().text }
    return text
  }

  /// Why that cannot be an agent's name, or nil. The reader decides, so that the two never differ.
  static func problem(withName name: String) -> String? {
    problem(in: "agent:\n  name: \(YAMLText.scalar(name))\n", field: "agent.name")
  }

  /// Why that cannot be a handler, or nil.
  static func problem(withHandler handler: String) -> String? {
    problem(in: "agent:\n  name: x\n  handler: \(YAMLText.scalar(handler))\n", field: "agent.handler")
  }

  private static func problem(in text: String, field: String) -> String? {
    do {
      _ = try Dockfile.parse(text, environment: [:])
      return nil
    } catch {
      return error.issues.first { $0.field == field }?.message ?? error.issues.first?.message
    }
  }
}
