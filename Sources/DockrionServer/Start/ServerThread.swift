import Glibc

/// What the thread of a server needs of the system.
enum ServerThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs `body` on a new thread.
  static func begin(_ body: @escaping @Sendable () -> Void) throws(ServerError) {
    let body = Unmanaged.passRetained(Body(body))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { body in
        Unmanaged<Body>.fromOpaque(body!).takeRetainedValue().run()
        return nil
      }, body.toOpaque())
    guard code == 0 else {
      body.release()
      throw ServerError(.threadFailed, errno: code, "cannot begin a thread for the server")
    }
    pthread_detach(thread)
  }

  /// A client that goes away is an error of the write, not the end of the process. Whoever handles SIGPIPE goes on.
  static func ignoreBrokenPipes() {
    var action = sigaction()
    guard sigaction(SIGPIPE, nil, &action) == 0 else { return }
    let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
    if handler == unsafeBitCast(SIG_DFL, to: Int.self) { signal(SIGPIPE, SIG_IGN) }
  }

  /// Runs `body` and gives the calling thread its own scheduling back, which a server changes.
  static func withThroughput<Result>(_ body: () throws -> Result) rethrows -> Result {
    let policy = sched_getscheduler(0)
    var parameter = sched_param()
    let isKnown = policy >= 0 && sched_getparam(0, &parameter) == 0
    defer { if isKnown { _ = sched_setscheduler(0, policy, &parameter) } }
    return try body()
  }
}
