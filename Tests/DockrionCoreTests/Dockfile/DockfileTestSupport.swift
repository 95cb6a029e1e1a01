import Testing

@testable import DockrionCore

/// Reads a text that must be good.
func read(
  _ yaml: String, environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Dockfile {
  do throws(DockfileError) {
    return try Dockfile.parse(yaml, path: "D", environment: environment)
  } catch {
    Issue.record("\(error)", sourceLocation: sourceLocation)
    throw error
  }
}

/// Reads the section `yaml` behind an agent's name in line 1, so that its own first line is line 2.
func readSection(
  _ yaml: String, environment: [String: String] = [:], sourceLocation: SourceLocation = #_sourceLocation
) throws -> Dockfile {
  try read("agent: {name: a}\n" + yaml, environment: environment, sourceLocation: sourceLocation)
}

/// The errors of a text, one string each; empty when it is good.
func errors(_ yaml: String, environment: [String: String] = [:]) -> [String] {
  do throws(DockfileError) {
    _ = try Dockfile.parse(yaml, path: "D", environment: environment)
    return []
  } catch {
    return error.issues.map(\.description)
  }
}

/// The errors of a section behind an agent's name in line 1.
func sectionErrors(_ yaml: String, environment: [String: String] = [:]) -> [String] {
  errors("agent: {name: a}\n" + yaml, environment: environment)
}

/// The warnings of a section behind an agent's name in line 1.
func warnings(_ yaml: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> [String] {
  try readSection(yaml, sourceLocation: sourceLocation).warnings.map(\.description)
}
