import DockrionCore
import DockrionLoop
import Logging

/// Where the server listens, and with what limits.
struct ListeningPlace {
  private let expose: Dockfile.Expose
  private let isOpen: Bool
  private let logger: Logger

  init(_ dockfile: Dockfile, _ logger: Logger) {
    expose = dockfile.expose
    isOpen = dockfile.auth == .none
    self.logger = logger
  }

  /// The listener, before it has an address.
  static func listener(
    _ loop: EventLoop, _ deadlines: DeadlineQueues, _ runtime: Dockfile.Runtime, _ logger: Logger
  ) throws(ServerError) -> HTTPListener {
    let descriptors = ProcessFacts.raiseDescriptorLimit()
    let (connections, warning) = StartAdvice.connections(runtime, descriptors: descriptors)
    logger.info("descriptor limit \(descriptors), at most \(connections) connections")
    if let warning { logger.warning("\(warning)") }
    let limits = HTTPListener.Limits(
      maxConnections: connections, bodyBytes: runtime.maxBodyBytes,
      requestTimeoutSeconds: runtime.requestTimeoutSeconds, keepAliveSeconds: runtime.keepAliveSeconds,
      stallTimeoutSeconds: runtime.stallTimeoutSeconds, bufferedBytes: runtime.maxBufferedBytes)
    return try ServerError.translating { () throws(LoopError) in try HTTPListener(loop, deadlines, limits) }
  }

  /// Listens; returns where clients reach it, such as `http://127.0.0.1:8080` or `unix:/run/d.sock`.
  func open(_ listener: HTTPListener) throws(ServerError) -> ServerAddress {
    if let path = expose.unixSocket {
      try ServerError.translating { () throws(LoopError) in try listener.listen(unixSocket: path) }
      return ServerAddress(description: "unix:\(path)", port: nil)
    }
    let host = expose.host
    let port = try ServerError.translating(advice: StartAdvice.binding) { () throws(LoopError) in
      try listener.listen(host: host, port: expose.port)
    }
    let url = "http://\(host.contains(":") ? "[\(host)]" : host):\(port)"
    if isOpen, let warning = StartAdvice.openAddress(host, url) { logger.warning("\(warning)") }
    return ServerAddress(description: url, port: port)
  }
}
