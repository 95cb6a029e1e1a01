import DockrionCore
import DockrionLoop
import DockrionServer
import Foundation

/// The checks of `dockrion doctor`.
struct Doctor {
  /// The Dockfile, and whether somebody named it: a file that is only expected may be missing.
  let path: String
  let isGiven: Bool

  /// Descriptors that a server has besides its connections, about.
  private static let ownDescriptors = 64

  func findings() -> [Finding] {
    var findings = [libraries()]
    var read: Dockfile?
    do {
      let dockfile = try Dockfile.load(path: path)
      read = dockfile
      findings += [file(dockfile)] + dockfile.agents.map { agent($0, dockfile) } + keys(dockfile)
    } catch {
      findings.append(unreadable(error))
      // What holds where the file says nothing.
      read = try? Dockfile.parse("agent: {name: none}", environment: [:])
    }
    if let read { findings += [address(read.expose), descriptors(read.runtime)] }
    if let redis = RedisCheck.finding(dockfile: path) { findings.append(redis) }
    return findings
  }

  private func libraries() -> Finding {
    let text = "dockrion \(Dockrion.version), libevent \(LibeventVersion.text)"
    if LibeventVersion.isSupported { return .pass("libraries", text) }
    return .fail(
      "libraries", text, "install libevent 2.1.12 or later; on Debian: apt-get install libevent-dev")
  }

  private func file(_ dockfile: Dockfile) -> Finding {
    guard !dockfile.warnings.isEmpty else { return .pass("Dockfile", "\(path) is valid") }
    let lines = dockfile.warnings.map(\.description).joined(separator: "\n")
    return .warn("Dockfile", "\(path) is valid, but:\n\(lines)", "take out or correct what is named")
  }

  private func unreadable(_ error: DockfileError) -> Finding {
    let isMissing = access(path, F_OK) != 0
    if isMissing, !isGiven {
      return .warn("Dockfile", "there is no \(path) here", "dockrion init NAME writes one")
    }
    return .fail(
      "Dockfile", "\(error)",
      isMissing ? "name a file that exists, or write one: dockrion init NAME" : "correct what is named")
  }

  private func agent(_ agent: Dockfile.Agent, _ dockfile: Dockfile) -> Finding {
    let name = agent.lookupName
    let program = Program.current
    // Of several each finding says whose it is, where the handler's name does not.
    let owner = dockfile.agents.count > 1 && agent.name != name ? "\(agent.name): " : ""
    if agent.isPython { return .pass("agent", "\(owner)\(name) is in Python, which the start imports") }
    if program.ownAgents.contains(name) { return .pass("agent", "\(owner)\(name) is this program's") }
    if program.agents[name] != nil { return .pass("agent", "\(owner)\(name) is built in") }
    let issue = dockfile.unregistered(agent, known: [])
    let handler = String(issue.field.prefix { $0 != "." }) + ".handler"
    let known = program.agents.keys.sorted().joined(separator: ", ")
    return .warn(
      "agent", "\(owner)\(quoted(name)) is not registered here, so `\(program.name) run` cannot serve it",
      "start the program that registers it, or set \(handler) to one of \(known)")
  }

  private func keys(_ dockfile: Dockfile) -> [Finding] {
    guard case .apiKey(let variable, _, _) = dockfile.auth else { return [] }
    let value = ProcessInfo.processInfo.environment[variable] ?? ""
    let count = value.split(separator: ",").count { !$0.allSatisfy(\.isWhitespace) }
    if count > 0 { return [.pass("API keys", "\(variable) holds \(count)")] }
    return [.fail("API keys", "\(variable) holds no key", "export \(variable)=SOME-SECRET before the start")]
  }

  private func address(_ expose: Dockfile.Expose) -> Finding {
    if let path = expose.unixSocket { return socketPath(path) }
    let place = "\(expose.host):\(expose.port)"
    do {
      try SocketProbe.bind(host: expose.host, port: expose.port)
      return .pass("address", "\(place) is free")
    } catch {
      let advice: String
      switch error.code {
      case EADDRINUSE:
        advice = "stop what listens there, or choose another port: expose.port, or dockrion run --port"
      case EACCES: advice = "ports below 1024 need a privilege; take a higher one in expose.port"
      case EADDRNOTAVAIL: advice = "this machine has no such address; set expose.host to one that it has"
      default: advice = "choose another address in expose.host and expose.port"
      }
      return .fail("address", "\(place) cannot be bound: \(error)", advice)
    }
  }

  private func socketPath(_ path: String) -> Finding {
    let parent = (path as NSString).deletingLastPathComponent
    let directory = parent.isEmpty ? "." : parent
    guard access(directory, W_OK | X_OK) == 0 else {
      let code = errno
      return .fail(
        "address", "no socket can be made in \(directory): \(String(cString: strerror(code)))",
        "make the directory, or choose another in expose.unix_socket")
    }
    return .pass("address", "a socket can be made at \(path)")
  }

  private func descriptors(_ runtime: Dockfile.Runtime) -> Finding {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      let code = errno
      return .fail(
        "descriptors", "the limit cannot be read: \(String(cString: strerror(code)))", "check ulimit -n")
    }
    // The server raises its soft limit to the hard one.
    let most = limit.rlim_max == rlim_t.max ? Int.max : Int(clamping: limit.rlim_max)
    let needed = runtime.maxConnections + Self.ownDescriptors
    if most >= needed {
      return .pass("descriptors", "\(most == .max ? "no limit" : "\(most)"), \(needed) are needed")
    }
    return .warn(
      "descriptors",
      "\(most) are allowed, \(needed) are needed for \(runtime.maxConnections) connections",
      "raise the hard limit (ulimit -Hn, systemd's LimitNOFILE), or lower runtime.max_connections")
  }
}
