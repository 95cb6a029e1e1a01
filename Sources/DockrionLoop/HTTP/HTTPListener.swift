import CLibevent
import DockrionCore
import Glibc

/// evhttp and the sockets it accepts on: the one file's worth of server that libevent does for us.
package final class HTTPListener {
  package struct Limits {
    package var maxConnections: Int
    package var bodyBytes: Int
    package var requestTimeoutSeconds: Int
    package var keepAliveSeconds: Int
    package var stallTimeoutSeconds: Int
    package var bufferedBytes: Int

    /// - Parameters:
    ///   - bodyBytes: bytes of a request's body.
    ///   - bufferedBytes: bytes that may wait on all connections together.
    package init(
      maxConnections: Int, bodyBytes: Int, requestTimeoutSeconds: Int, keepAliveSeconds: Int,
      stallTimeoutSeconds: Int, bufferedBytes: Int
    ) {
      self.maxConnections = maxConnections
      self.bodyBytes = bodyBytes
      self.requestTimeoutSeconds = requestTimeoutSeconds
      self.keepAliveSeconds = keepAliveSeconds
      self.stallTimeoutSeconds = stallTimeoutSeconds
      self.bufferedBytes = bufferedBytes
    }
  }

  /// evhttp's own callbacks on a bufferevent, which ours stand in for while a request is being answered.
  struct Callbacks {
    var write: bufferevent_data_cb?
    var event: bufferevent_event_cb?
  }

  package let limits: Limits
  let deadlines: DeadlineQueues
  private let date = DateHeader()
  private(set) var callbacks = Callbacks()
  /// Bytes given to sockets, for the metrics.
  package var sentBytes = 0
  /// Bytes that wait on all connections together, of requests that are not whole and of replies that are not sent;
  /// somewhat more than there are until the next count.
  package var bufferedBytes = 0
  /// Told of a connection that is closed because too much waits on all together.
  package var onOverflow: (_ buffered: Int) -> Void = { _ in }
  /// Told of a connection that is closed because too much is pipelined behind this exchange.
  package var onFlood: (Exchange) -> Void = { _ in }
  /// For whole replies; used and emptied within one call.
  var output = ByteWriter(capacity: 4096)
  /// Answers requests.
  package var handle: (Exchange) -> Void = { _ in }
  /// Told of each exchange that is over, while its request can still be read; nil where nobody wants to know.
  package var onEnd: ((Exchange) -> Void)?

  private let loop: EventLoop
  private let http: OpaquePointer
  private var listeners: [OpaquePointer] = []
  private var unixSocketPath: String?
  // By descriptor, since the kernel gives the lowest that is free.
  private var places: [Connection?] = []
  private var openConnections = 0
  private var newborn: [(buffer: OpaquePointer, gate: RequestGate)] = []
  private var finishing: [Exchange] = []
  private var closing: [Connection] = []
  private var orphans: [RequestPointer] = []
  private var lingering: [ObjectIdentifier: LingeringClose] = [:]
  private var lingeringSoon: [LingeringClose] = []
  private var lingeringOver: [LingeringClose] = []
  private var accepting = true
  private var stopped = false

  package init(_ loop: EventLoop, _ deadlines: DeadlineQueues, _ limits: Limits) throws(LoopError) {
    self.loop = loop
    self.deadlines = deadlines
    self.limits = limits
    guard let http = evhttp_new(loop.base) else { throw LoopError(.libeventFailed, "no memory for evhttp") }
    self.http = http
    evhttp_set_max_headers_size(http, DockrionCore.Limits.headerBytesMax)
    evhttp_set_max_body_size(http, Self.readBytesMax(limits))
    evhttp_set_allowed_methods(http, .max)
    let me = Unmanaged.passUnretained(self).toOpaque()
    evhttp_set_gencb(
      http,
      { request, me in Unmanaged<HTTPListener>.fromOpaque(me!).takeUnretainedValue().received(request!) }, me)
    evhttp_set_bevcb(
      http,
      { base, me in Unmanaged<HTTPListener>.fromOpaque(me!).takeUnretainedValue().accepted(base!) }, me)
  }

  /// Bytes of a body that are read. Twice the limit: who sends a little too much keeps the connection.
  private static func readBytesMax(_ limits: Limits) -> Int { limits.bodyBytes * 2 }

  /// Connections that are open now.
  package var connectionCount: Int { openConnections + newborn.count + lingering.count }

  /// The loop's clock, for deadlines.
  var now: Int64 { loop.now }
  /// The `Date` header's line.
  var dateLine: [UInt8] { date.line(Int(Clock.wallNanoseconds(at: loop.now) / Clock.second)) }

  // MARK: Accepting

  /// Listens on a TCP address; port 0 takes a free one. Returns the port.
  package func listen(host: String, port: Int) throws(LoopError) -> Int {
    let place = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    var address = sockaddr_storage()
    var length = Int32(MemoryLayout<sockaddr_storage>.size)
    let numeric = host == "localhost" ? "127.0.0.1" : host
    let parsed = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        evutil_parse_sockaddr_port(
          numeric.contains(":") ? "[\(numeric)]:\(port)" : "\(numeric):\(port)", $0, &length)
      }
    }
    guard parsed == 0 || port == 0 else {
      throw LoopError(.bindFailed, "cannot listen on \(place): \"\(host)\" is not an IP address")
    }
    if parsed != 0 { length = fillWithPortZero(&address, numeric) }
    guard length > 0 else {
      throw LoopError(.bindFailed, "cannot listen on \(place): \"\(host)\" is not an IP address")
    }
    let descriptor = socket(
      Int32(address.ss_family), Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue),
      0)
    guard descriptor >= 0 else { throw LoopError(.bindFailed, errno: errno, "cannot listen on \(place)") }
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    // Accepted sockets inherit it. Without it a stream's second small write waits 40 ms for a delayed ACK.
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, 4)
    // Who waits for `/invoke` is sent nothing meanwhile: only probes find out that it has vanished.
    var (idle, interval, probes) = (Int32(limits.stallTimeoutSeconds), Int32(1), Int32(5))
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, &idle, 4)
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, &interval, 4)
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, &probes, 4)
    // A peer that vanished without a word is dropped when it has acknowledged nothing for that long. It is more
    // than the stall timeout, which closes a client that still answers but takes nothing.
    var milliseconds = UInt32(limits.stallTimeoutSeconds * 1000 + 5000)
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, 4)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(length)) }
    }
    guard bound == 0, Glibc.listen(descriptor, 4096) == 0 else {
      let number = errno
      close(descriptor)
      throw LoopError(.bindFailed, errno: number, "cannot listen on \(place)")
    }
    try accept(on: descriptor)
    var actual = sockaddr_in6()
    var size = socklen_t(MemoryLayout<sockaddr_in6>.size)
    withUnsafeMutablePointer(to: &actual) {
      _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) }
    }
    // sockaddr_in and sockaddr_in6 have their port in the same place.
    return Int(UInt16(bigEndian: actual.sin6_port))
  }

  private func fillWithPortZero(_ address: inout sockaddr_storage, _ host: String) -> Int32 {
    withUnsafeMutablePointer(to: &address) { pointer in
      let four = pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { in4 in
        in4.pointee.sin_family = sa_family_t(AF_INET)
        return inet_pton(AF_INET, host, &in4.pointee.sin_addr) == 1
      }
      if four { return Int32(MemoryLayout<sockaddr_in>.size) }
      let six = pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { in6 in
        in6.pointee.sin6_family = sa_family_t(AF_INET6)
        return inet_pton(AF_INET6, host, &in6.pointee.sin6_addr) == 1
      }
      return six ? Int32(MemoryLayout<sockaddr_in6>.size) : 0
    }
  }

  /// Listens on a Unix socket. A socket file that nobody listens on is replaced; one that is in use is not.
  package func listen(unixSocket path: String) throws(LoopError) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw LoopError(.bindFailed, "cannot listen on \"\(path)\": a Unix socket's path has 1…107 bytes")
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    let size = socklen_t(MemoryLayout<sockaddr_un>.size)
    func with(_ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
      withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, size) }
      }
    }
    func makeSocket() -> Int32 {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
    }
    var info = stat()
    if lstat(path, &info) == 0 {
      guard info.st_mode & S_IFMT == S_IFSOCK else {
        throw LoopError(.bindFailed, "cannot listen on \"\(path)\": a file that is no socket is there")
      }
      let probe = makeSocket()
      guard probe >= 0 else { throw LoopError(.bindFailed, errno: errno, "cannot listen on \"\(path)\"") }
      let refusal = with({ connect(probe, $0, $1) }) == 0 ? 0 : errno
      close(probe)
      // Refused: whoever listened has gone. A queue that is full (EAGAIN) belongs to somebody who hangs.
      guard refusal == ECONNREFUSED else {
        let isInUse = refusal == 0 || refusal == EAGAIN
        throw LoopError(
          .bindFailed, errno: isInUse ? EADDRINUSE : refusal, "cannot listen on \"\(path)\"",
          advice: isInUse ? "stop the server that listens there, or take another path" : nil)
      }
      unlink(path)
    }
    let descriptor = makeSocket()
    guard descriptor >= 0, with({ bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, 4096) == 0 else {
      let number = errno
      if descriptor >= 0 { close(descriptor) }
      throw LoopError(.bindFailed, errno: number, "cannot listen on \"\(path)\"")
    }
    unixSocketPath = path
    try accept(on: descriptor)
  }

  private func accept(on descriptor: Int32) throws(LoopError) {
    let flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC
    guard let listener = evconnlistener_new(loop.base, nil, nil, flags, 0, descriptor),
      evhttp_bind_listener(http, listener) != nil
    else {
      close(descriptor)
      throw LoopError(.libeventFailed, "no memory for a listener")
    }
    // Out of descriptors: without a pause libevent would call accept again at once, for ever. The callback's
    // context is evhttp's, so the pause is noticed at the end of the tick.
    evconnlistener_set_error_cb(listener) { listener, _ in
      evconnlistener_disable(listener)
      AcceptFailures.add(listener!)
    }
    listeners.append(listener)
  }

  private func accepted(_ base: OpaquePointer) -> OpaquePointer? {
    guard let buffer = bufferevent_socket_new(base, -1, Int32(BEV_OPT_CLOSE_ON_FREE.rawValue)) else {
      return nil
    }
    // evhttp may free it before the tick ends; the reference keeps the pointer good until then.
    bufferevent_incref(buffer)
    newborn.append((buffer, RequestGate(buffer, bodyBytesMax: Self.readBytesMax(limits))))
    // libevent accepts until the queue is empty, unless it is told to stop in between.
    if connectionCount >= limits.maxConnections {
      accepting = false
      for listener in listeners { evconnlistener_disable(listener) }
    }
    return buffer
  }

  /// Takes charge of connections that evhttp has made since the last call.
  private func adopt() {
    guard !newborn.isEmpty else { return }
    for (buffer, gate) in newborn {
      var context: UnsafeMutableRawPointer?
      var (read, write): (bufferevent_data_cb?, bufferevent_data_cb?)
      var event: bufferevent_event_cb?
      bufferevent_getcb(buffer, &read, &write, &event, &context)
      // No context: evhttp has freed the connection already.
      if let context, bufferevent_getfd(buffer) >= 0 {
        callbacks = Callbacks(write: write, event: event)
        let evcon = OpaquePointer(context)
        let connection = Connection(evcon, buffer, gate, self)
        let place = Int(connection.descriptor)
        while places.count <= place { places.append(nil) }
        places[place] = connection
        openConnections += 1
      } else {
        gate.detach()
      }
      bufferevent_decref(buffer)
    }
    newborn.removeAll(keepingCapacity: true)
  }

  private func received(_ request: RequestPointer) {
    loop.preconditionOnLoop()
    adopt()
    guard let evcon = evhttp_request_get_connection(request),
      case let place = Int(bufferevent_getfd(evhttp_connection_get_bufferevent(evcon))),
      places.indices.contains(place), let connection = places[place]
    else {
      return evhttp_send_error(request, 500, nil)
    }
    connection.begin(request)
  }

  // MARK: The end of a tick

  func finishSoon(_ exchange: Exchange) { finishing.append(exchange) }
  func closeSoon(_ connection: Connection) { closing.append(connection) }
  func freeSoon(_ request: RequestPointer) { orphans.append(request) }
  /// For a connection whose descriptor is about to be closed.
  func forget(_ connection: Connection) {
    guard places[Int(connection.descriptor)] === connection else { return }
    places[Int(connection.descriptor)] = nil
    openConnections -= 1
  }

  /// An event that calls `body` whenever the descriptor has input; it has still to be added.
  func makeWatch(_ descriptor: Int32, _ body: event_callback_fn, _ argument: UnsafeMutableRawPointer)
    -> OpaquePointer?
  {
    event_new(loop.base, descriptor, Int16(EV_READ | EV_PERSIST), body, argument)
  }

  private var connections: some Sequence<Connection> { places.lazy.compactMap { $0 } }
  func closeSoon(_ connection: LingeringClose) { lingeringOver.append(connection) }

  /// Takes over the socket of a connection that evhttp is freeing while its client still sends.
  func linger(_ buffer: OpaquePointer) {
    guard !stopped else { return }
    let connection = LingeringClose(buffer, self)
    lingering[ObjectIdentifier(connection)] = connection
    lingeringSoon.append(connection)
  }

  /// Closes connections on which most waits, while more waits on all together than may.
  func boundBuffered() {
    guard bufferedBytes > limits.bufferedBytes else { return }
    for connection in connections { connection.countUnsent() }
    guard bufferedBytes > limits.bufferedBytes else { return }
    // To a little below the bound: the next search would follow soon.
    let target = limits.bufferedBytes / 10 * 9
    for connection in connections.sorted(by: { $0.buffered > $1.buffered }) {
      guard bufferedBytes > target else { return }
      onOverflow(connection.buffered)
      connection.close(.overflow)
    }
  }

  /// True while bytes of some reply or stream wait to be sent. It looks at every connection.
  package var hasUnsentBytes: Bool { connections.contains { $0.backlog > 0 } }

  /// True when something must be done that no event will announce.
  package var hasWork: Bool {
    !finishing.isEmpty || !closing.isEmpty || !orphans.isEmpty || !newborn.isEmpty || !lingeringSoon.isEmpty
      || !lingeringOver.isEmpty
  }

  /// Hands answered requests back to evhttp, closes and frees what the tick has left behind.
  package func reap() {
    adopt()
    while !finishing.isEmpty || !closing.isEmpty || !orphans.isEmpty {
      let (answered, closed, freed) = (finishing, closing, orphans)
      finishing.removeAll(keepingCapacity: true)
      closing.removeAll(keepingCapacity: true)
      orphans.removeAll(keepingCapacity: true)
      for exchange in answered { exchange.handBack() }
      for connection in closed { connection.free() }
      for request in freed { evhttp_request_free(request) }
    }
    reapLingering()
    pauseOrResumeAccepting()
  }

  private func reapLingering() {
    if !lingeringSoon.isEmpty {
      let begun = lingeringSoon
      lingeringSoon.removeAll()
      for connection in begun { connection.begin() }
    }
    guard !lingeringOver.isEmpty else { return }
    let over = lingeringOver
    lingeringOver.removeAll()
    for connection in over where lingering.removeValue(forKey: ObjectIdentifier(connection)) != nil {
      connection.free()
    }
  }

  private func pauseOrResumeAccepting() {
    if AcceptFailures.take(listeners) {
      accepting = false
      acceptsAgainAt = now + 100_000_000
    }
    var may = connectionCount < limits.maxConnections && !stopped
    if let again = acceptsAgainAt {
      if now >= again { acceptsAgainAt = nil } else { may = false }
    }
    guard may != accepting else { return }
    accepting = may
    for listener in listeners { _ = may ? evconnlistener_enable(listener) : evconnlistener_disable(listener) }
  }

  /// When accepting goes on after the process had run out of descriptors; nil when it has not.
  package private(set) var acceptsAgainAt: Int64?

  /// Accepts nobody any more and closes every connection.
  package func stop() {
    stopped = true
    for listener in listeners { evconnlistener_disable(listener) }
    adopt()
    for connection in Array(connections) { connection.close(.shutdown) }
    lingeringOver = Array(lingering.values)
    reap()
  }

  deinit {
    if let unixSocketPath { unlink(unixSocketPath) }
    evhttp_free(http)
  }
}
