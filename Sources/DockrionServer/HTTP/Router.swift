import DockrionCore
import DockrionLoop

/// What can be asked for.
enum Endpoint: CaseIterable {
  case invoke, invokeStream, createRun, listRuns, run, cancelRun, runEvents
  case health, ready, metrics, info, schema, openAPI, welcome

  /// Section 7 of the wire protocol: these need a key where keys are used.
  var needsKey: Bool {
    switch self {
    case .invoke, .invokeStream, .createRun, .listRuns, .run, .cancelRun, .runEvents: true
    default: false
    }
  }
}

extension Endpoint {
  /// These take a payload and start an agent.
  var startsAgent: Bool { self == .invoke || self == .invokeStream || self == .createRun }
}

/// One path and what its methods do.
struct Route {
  /// The path; `{run_id}` stands for one segment.
  let path: String
  let endpoints: [(method: HTTPMethod, endpoint: Endpoint)]

  /// The methods for `Allow`, `HEAD` and `OPTIONS` included.
  var allow: String {
    var names = endpoints.map(\.method.name)
    if names.contains("GET") { names.append("HEAD") }
    return (names + ["OPTIONS"]).joined(separator: ", ")
  }

  func endpoint(_ method: HTTPMethod) -> Endpoint? {
    let wanted = method == .head ? .get : method
    return endpoints.first { $0.method == wanted }?.endpoint
  }
}

/// The routes that a Dockfile leaves standing.
struct Router {
  let routes: [Route]
  private let runRoute: Int?
  private let eventsRoute: Int?

  /// The label of each route in the metrics; the last one stands for paths that are unknown.
  let metricNames: [String]
  var unknownRoute: Int { routes.count }

  init(_ dockfile: Dockfile) {
    var routes: [Route] = []
    if dockfile.expose.rest { routes.append(Route(path: "/invoke", endpoints: [(.post, .invoke)])) }
    if dockfile.expose.streaming {
      routes.append(Route(path: "/invoke/stream", endpoints: [(.post, .invokeStream)]))
    }
    if dockfile.streaming.asyncRuns {
      routes.append(Route(path: "/runs", endpoints: [(.get, .listRuns), (.post, .createRun)]))
      routes.append(Route(path: "/runs/{run_id}", endpoints: [(.get, .run), (.delete, .cancelRun)]))
      routes.append(Route(path: "/runs/{run_id}/events", endpoints: [(.get, .runEvents)]))
    }
    for (path, endpoint) in [
      ("/health", Endpoint.health), ("/ready", .ready), ("/metrics", .metrics), ("/info", .info),
      ("/schema", .schema), ("/openapi.json", .openAPI), ("/", .welcome),
    ] {
      routes.append(Route(path: path, endpoints: [(.get, endpoint)]))
    }
    self.routes = routes
    metricNames = routes.map(\.path) + ["unknown"]
    runRoute = routes.firstIndex { $0.path == "/runs/{run_id}" }
    eventsRoute = routes.firstIndex { $0.path == "/runs/{run_id}/events" }
  }

  /// The route of a path, and the run id in it, percent-encoded as it was sent.
  func match(_ path: String) -> (route: Int, runID: String?)? {
    // A dozen comparisons of short strings, which lie in their two words, are less work than one hash.
    if let route = routes.firstIndex(where: { $0.path == path }), route != runRoute, route != eventsRoute {
      return (route, nil)
    }
    guard let runRoute, let eventsRoute, path.hasPrefix("/runs/") else { return nil }
    let rest = path.dropFirst("/runs/".count)
    if let slash = rest.firstIndex(of: "/") {
      guard slash > rest.startIndex, rest[slash...] == "/events" else { return nil }
      return (eventsRoute, String(rest[..<slash]))
    }
    return rest.isEmpty ? nil : (runRoute, String(rest))
  }
}
