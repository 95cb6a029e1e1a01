import DockrionCore

/// `GET /`: what runs here, and lines to try it with.
enum WelcomePage {
  static func html(_ api: ServedAPI, _ places: [RoutePlace], host: String?, _ example: String) -> String {
    let place = host ?? "localhost:\(api.port)"
    let quoted = example.replacing("'", with: "'\\''")
    let post = "-H 'Content-Type: application/json' -d '\(quoted)'"
    var key = ""
    if case .apiKey(_, let header, _) = api.auth { key = "-H '\(header): YOUR_KEY' " }
    var lines: [(String, String)] = []
    if api.hasStreaming {
      lines.append(("Events as they happen", "curl -N -X POST http://\(place)/invoke/stream \(key)\(post)"))
    }
    if api.hasRest {
      lines.append(("The output in one piece", "curl -X POST http://\(place)/invoke \(key)\(post)"))
    }
    if api.hasRuns {
      lines.append(("Start a run", "curl -X POST 'http://\(place)/runs?run_id=first' \(key)\(post)"))
      lines.append(("Follow it, from its beginning", "curl -N \(key)http://\(place)/runs/first/events"))
      lines.append(("Its status", "curl \(key)http://\(place)/runs/first"))
      lines.append(("Cancel it", "curl -X DELETE \(key)http://\(place)/runs/first"))
    }
    let commands = lines.map { "<h2>\(escape($0.0))</h2>\n<pre>\(escape($0.1))</pre>" }.joined(
      separator: "\n")
    let paths = places.map { place in
      let methods = place.routes.map(\.method.name).joined(separator: ", ")
      return "<li><code>\(methods) \(escape(place.path))</code></li>"
    }
    return """
      <!doctype html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <link rel="icon" href="data:,">
      <title>\(escape(api.standard.name)) - Dockrion</title>
      <style>
      body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
      pre { background: #f3f3f3; color: #111; padding: .7rem; overflow-x: auto; border-radius: .3rem; }
      h2 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
      </style>
      </head>
      <body>
      <h1>\(escape(api.standard.name))</h1>
      <p>\(escape(api.standard.description ?? "An agent served by Dockrion."))
      Framework: \(escape(api.standard.framework)). Dockrion \(ServerVersion.text).</p>
      \(commands)
      \(agentList(api))<h2>Routes</h2>
      <ul>
      \(paths.joined(separator: "\n"))
      </ul>
      </body>
      </html>

      """
  }

  /// With several agents: what they are, and where.
  private static func agentList(_ api: ServedAPI) -> String {
    guard api.hasPrefixes else { return "" }
    let items = api.agents.map { agent in
      let note = agent === api.standard ? ", also without the prefix" : ""
      let text = agent.description.map { ": \(escape($0))" } ?? ""
      return
        "<li><b>\(escape(agent.name))</b>\(text) <code>/agents/\(escape(agent.name))/…</code>\(note)</li>"
    }
    return "<h2>Agents</h2>\n<ul>\n\(items.joined(separator: "\n"))\n</ul>\n"
  }

  private static func escape(_ text: String) -> String {
    var escaped = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.unicodeScalars.append(character)
      }
    }
    return escaped
  }
}
