import DockrionCore
import DockrionLoop

/// A path and the routes that stand there.
final class RoutePlace: Sendable {
  let path: String
  let routes: [Route]
  /// The methods for `Allow`, `HEAD` and `OPTIONS` included.
  let allow: String
  let isOfAgent: Bool

  init(path: String, routes: [Route]) {
    self.path = path
    self.routes = routes
    var names = routes.map(\.method.name)
    if names.contains("GET") { names.append("HEAD") }
    allow = (names + ["OPTIONS"]).joined(separator: ", ")
    isOfAgent = routes.contains(where: \.isOfAgent)
  }

  func route(_ method: HTTPMethod) -> Route? {
    let wanted = method == .head ? .get : method
    return routes.first { $0.method == wanted }
  }
}

/// Finds the routes of a path.
struct Router {
  /// What a path has come to.
  struct Match {
    /// The number of the place.
    let place: Int
    /// The agent that a prefix names; nil without one.
    var agent: ServedAgent?
    /// The prefix as it was sent; empty without one.
    var prefix = ""
    /// The run in the path, percent-encoded as it was sent.
    var runID: String?
  }

  let places: [RoutePlace]
  private let agents: [ServedAgent]
  /// True where each agent has its routes below `/agents/{name}`.
  let hasPrefixes: Bool
  private let runPlace: Int?
  private let eventsPlace: Int?

  init(_ routes: [Route], _ agents: [ServedAgent]) {
    var paths: [String] = []
    for route in routes where !paths.contains(route.path) { paths.append(route.path) }
    places = paths.map { path in RoutePlace(path: path, routes: routes.filter { $0.path == path }) }
    self.agents = agents
    hasPrefixes = paths.contains("/agents")
    runPlace = paths.firstIndex(of: "/runs/{run_id}")
    eventsPlace = paths.firstIndex(of: "/runs/{run_id}/events")
  }

  /// The label of each place in the metrics; the last one stands for paths that are unknown.
  static func labels(_ routes: [Route]) -> [String] {
    var labels: [String] = []
    for route in routes where !labels.contains(route.path) { labels.append(route.path) }
    return labels + ["unknown"]
  }

  var unknownRoute: Int { places.count }

  /// The place of a path; nil when there is nothing.
  func match(_ path: String) -> Match? {
    if hasPrefixes, path.hasPrefix("/agents/") { return matchBelowAgent(path) }
    return plain(path)
  }

  private func plain(_ path: String) -> Match? {
    // A dozen comparisons of short strings, which lie in their two words, are less work than one hash.
    if let place = places.firstIndex(where: { $0.path == path }), place != runPlace, place != eventsPlace {
      return Match(place: place)
    }
    guard let runPlace, let eventsPlace, path.hasPrefix("/runs/") else { return nil }
    let rest = path.dropFirst("/runs/".count)
    if let slash = rest.firstIndex(of: "/") {
      guard slash > rest.startIndex, rest[slash...] == "/events" else { return nil }
      return Match(place: eventsPlace, runID: String(rest[..<slash]))
    }
    return rest.isEmpty ? nil : Match(place: runPlace, runID: String(rest))
  }

  /// The name behind `/agents/`, decoded; nil where there is none.
  static func agentName(in path: String) -> String? {
    guard path.hasPrefix("/agents/") else { return nil }
    let name = path.dropFirst("/agents/".count).prefix { $0 != "/" }
    return name.isEmpty ? nil : Query.decode(name) ?? String(name)
  }

  private func matchBelowAgent(_ path: String) -> Match? {
    let rest = path.dropFirst("/agents/".count)
    guard let slash = rest.firstIndex(of: "/") else { return nil }
    let encoded = rest[..<slash]
    guard let name = Query.decode(encoded), let agent = agents.first(where: { $0.name == name }),
      var match = plain(String(rest[slash...])), places[match.place].isOfAgent
    else { return nil }
    match.agent = agent
    match.prefix = "/agents/\(encoded)"
    return match
  }
}
