/// Why a backend did not do what was asked.
enum BackendProblem: Error {
  /// No agent can be started.
  case refused(AgentRefusal)
  /// The idempotency key made that run with another body.
  case keyReused(run: String)
  /// There is a run of that id.
  case runExists(String)
  /// It is no cursor that a page gave.
  case badCursor(String)
  /// The events that are kept take as many of the bytes as leave no room for a new run, which needs `free` of them.
  case noRoom(bytes: Int, most: Int, free: Int)
  /// The store cannot be asked, or refuses, with its reason.
  case unavailable(String)
}
