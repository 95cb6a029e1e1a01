import CEpoll
import Glibc

/// One thread, one epoll descriptor, all connections.
public final class Loop {
  private static let readyMax: Int32 = 512

  public let target: Target
  private let epoll: Int32
  private var connections: [Int32: Connection] = [:]
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
  private var ready = [epoll_event](repeating: epoll_event(), count: Int(Loop.readyMax))

  public init(_ target: Target) throws {
    self.target = target
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw LoadError.system("epoll_create1") }
  }

  deinit {
    for connection in Array(connections.values) { connection.close() }
    close(epoll)
    buffer.deallocate()
  }

  public var openCount: Int { connections.count }

  /// Connects, to the loop's target unless another is given; the first request may be sent at once.
  public func connect(tag: Int, _ receiver: any Receiver, to other: Target? = nil) throws -> Connection {
    let connection = Connection(try (other ?? target).open(), self, tag: tag, receiver)
    connections[connection.descriptor] = connection
    var event = epoll_event(
      events: EPOLLIN.rawValue, data: epoll_data_t(fd: connection.descriptor))
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, connection.descriptor, &event) == 0 else {
      throw LoadError.system("epoll_ctl")
    }
    return connection
  }

  func watch(_ connection: Connection, writing: Bool) {
    var event = epoll_event(
      events: writing ? EPOLLIN.rawValue | EPOLLOUT.rawValue : EPOLLIN.rawValue,
      data: epoll_data_t(fd: connection.descriptor))
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection.descriptor, &event)
  }

  func forget(_ connection: Connection) {
    connections[connection.descriptor] = nil
    epoll_ctl(epoll, EPOLL_CTL_DEL, connection.descriptor, nil)
  }

  /// Takes what has come, waiting for it at most so long.
  public func turn(milliseconds: Int32) throws {
    let count = epoll_wait(epoll, &ready, Loop.readyMax, milliseconds)
    guard count >= 0 || errno == EINTR else { throw LoadError.system("epoll_wait") }
    for index in 0..<max(0, Int(count)) {
      let event = ready[index]
      guard let connection = connections[event.data.fd] else { continue }
      if event.events & EPOLLOUT.rawValue != 0 { connection.flush() }
      if event.events & (EPOLLIN.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 {
        connection.read(into: buffer, at: monotonicNanoseconds())
      }
    }
  }

  /// Turns until `done` holds; `step` is called before each turn and says how many milliseconds it may wait.
  public func run(
    seconds: Double, waitingFor what: String, until done: () throws -> Bool, step: () throws -> Int32 = { 20 }
  ) throws {
    let deadline = monotonicNanoseconds() + Int64(seconds * 1e9)
    while try !done() {
      guard monotonicNanoseconds() < deadline else {
        throw LoadError("waited \(seconds) s for \(what)")
      }
      try turn(milliseconds: step())
    }
  }

  /// One request on a connection of its own, and its whole reply.
  public func request(_ request: [UInt8], seconds: Double = 10) throws -> (status: Int, body: String) {
    final class Waiting: Receiver {
      var outcome: (status: Int, body: String)?
      var fault: String?
      func opened(_ connection: Connection) {}
      func received(_ event: Event, at now: Int64, on connection: Connection) {}
      func ended(_ connection: Connection, fault: String?) {
        self.fault = fault
        outcome = (connection.status, String(decoding: connection.body, as: UTF8.self))
      }
    }
    let waiting = Waiting()
    let connection = try connect(tag: -1, waiting)
    defer { connection.close() }
    connection.send(request)
    try run(seconds: seconds, waitingFor: "a reply", until: { waiting.outcome != nil })
    if let fault = waiting.fault { throw LoadError(fault) }
    guard let outcome = waiting.outcome else { throw LoadError("no reply") }
    return outcome
  }
}

/// The bytes of a request.
public func requestBytes(
  _ method: String, _ path: String, headers: [String] = [], body: String? = nil
) -> [UInt8] {
  var lines = ["\(method) \(path) HTTP/1.1", "Host: dockrion-load"] + headers
  if let body { lines += ["Content-Type: application/json", "Content-Length: \(body.utf8.count)"] }
  return Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? "")).utf8)
}
