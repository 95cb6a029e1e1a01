import DockrionCore
import DockrionLoop

/// Gets a request to its route: what all routes share stands here, once.
final class Dispatcher {
  private let router: Router
  private let board: AgentBoard
  private let keys: APIKeys
  private let cors: CORSPolicy?
  private let site: SitePolicy
  private let replies: Replies
  private let handlers: RouteHandlers

  init(
    _ router: Router, _ board: AgentBoard, _ keys: APIKeys, _ cors: CORSPolicy?, _ site: SitePolicy,
    _ replies: Replies, _ handlers: RouteHandlers
  ) {
    self.router = router
    self.board = board
    self.keys = keys
    self.cors = cors
    self.site = site
    self.replies = replies
    self.handlers = handlers
  }

  /// Answers a request, at once or later.
  func handle(_ exchange: Exchange) {
    exchange.route = router.unknownRoute
    do throws(ErrorReply) {
      try dispatch(exchange)
    } catch {
      replies.send(exchange, error)
    }
  }

  private func dispatch(_ exchange: Exchange) throws(ErrorReply) {
    if let refusal = exchange.refusal {
      if let match = router.match(exchange.path) { label(exchange, match) }
      throw ErrorReply(refusal)
    }
    try site.checkHost(exchange)
    if exchange.method == .options, exchange.path == "*" {
      return replies.send(exchange, 204, headers: [("Allow", "GET, HEAD, POST, DELETE, OPTIONS")])
    }
    guard let match = router.match(exchange.path) else { throw nothing(at: exchange.path) }
    label(exchange, match)
    let place = router.places[match.place]
    if exchange.method == .options {
      let cors = cors?.preflight(exchange, allow: place.allow) ?? []
      return replies.send(exchange, 204, headers: [("Allow", place.allow)] + cors)
    }
    guard let route = place.route(exchange.method) else {
      var refusal = ErrorReply(405, "METHOD_NOT_ALLOWED", "\(place.path) takes \(place.allow)")
      refusal.headers.append(("Allow", place.allow))
      throw refusal
    }
    var principal = Principal.anonymous
    if route.access == .key {
      principal = try keys.principal(of: exchange)
      if let query = exchange.query { try Query(query).check(known: route.queryNames) }
    }
    try route.handle(
      handlers,
      RouteRequest(
        exchange: exchange, agent: match.agent ?? board.standard, prefix: match.prefix,
        encodedRunID: match.runID, principal: principal))
  }

  private func nothing(at path: String) -> ErrorReply {
    let sentence = "there is nothing at \(Self.shown(path))"
    if let name = Router.agentName(in: path) {
      guard router.hasPrefixes else {
        return ErrorReply(
          404, "NOT_FOUND", "\(sentence): this server has one agent, \(board.standard.name), without a prefix"
        )
      }
      if board.agent(named: name) == nil { return board.unknownAgent(name) }
    }
    return ErrorReply(404, "NOT_FOUND", sentence)
  }

  /// A path as an error shows it: bare where it is as short and plain as paths are, else quoted and cut.
  private static func shown(_ path: String) -> String {
    path.utf8.count <= 120 && path.utf8.allSatisfy({ $0 < 0x7F }) ? path : quoted(path)
  }

  private func label(_ exchange: Exchange, _ match: Router.Match) {
    exchange.route = match.place
    if router.places[match.place].isOfAgent { exchange.agent = (match.agent ?? board.standard).index }
  }
}
