import Glibc

/// Is told what comes on a connection.
public protocol Receiver: AnyObject {
  /// The response's head has come.
  func opened(_ connection: Connection)
  /// One event, whose last byte was read at `now`. What it throws ends the connection with that fault.
  func received(_ event: Event, at now: Int64, on connection: Connection) throws
  /// The response has ended; nil of a fault when it ended as it should. The connection may send again where
  /// `isOpen`.
  func ended(_ connection: Connection, fault: String?)
}

/// One connection and the response that is on its way on it.
public final class Connection {
  /// What the owner knows it by.
  public let tag: Int
  public weak var receiver: (any Receiver)?
  /// When the last request was handed to the socket.
  public private(set) var sentAt: Int64 = 0
  public private(set) var isOpen = true
  public var status: Int { reader.status ?? 0 }
  /// The body of a response that is no event stream.
  public private(set) var body: [UInt8] = []

  let descriptor: Int32
  private unowned let loop: Loop
  private var unsent: [UInt8] = []
  private var reader = ResponseReader()
  private var events = EventReader()
  private var isStream = false
  private var hasHead = false
  /// Responses that are still to come.
  private var pending = 0
  private var isBusy: Bool { pending > 0 }

  init(_ descriptor: Int32, _ loop: Loop, tag: Int, _ receiver: any Receiver) {
    self.descriptor = descriptor
    self.loop = loop
    self.tag = tag
    self.receiver = receiver
  }

  /// Sends a request, or several in one go, each of which gets a response in turn; those before have had theirs.
  public func send(_ request: [UInt8], count: Int = 1) {
    expectResponse()
    pending = count
    sentAt = monotonicNanoseconds()
    unsent = request
    flush()
  }

  private func expectResponse() {
    reader = ResponseReader()
    events = EventReader()
    body.removeAll(keepingCapacity: true)
    (isStream, hasHead) = (false, false)
  }

  /// Closes it; with `reset`, with RST instead of FIN, as a client that vanishes does.
  public func close(reset: Bool = false) {
    guard isOpen else { return }
    isOpen = false
    if reset {
      var option = linger(l_onoff: 1, l_linger: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
    loop.forget(self)
    Glibc.close(descriptor)
  }

  /// For the loop: the socket takes bytes.
  func flush() {
    guard isOpen, !unsent.isEmpty else { return }
    let count = Glibc.send(descriptor, unsent, unsent.count, Int32(MSG_NOSIGNAL))
    if count == unsent.count {
      unsent.removeAll(keepingCapacity: true)
      loop.watch(self, writing: false)
    } else if count > 0 || errno == EAGAIN {
      unsent.removeFirst(max(0, count))
      loop.watch(self, writing: true)
    } else {
      fail("send: \(String(cString: strerror(errno)))")
    }
  }

  /// For the loop: there are bytes.
  func read(into buffer: UnsafeMutableRawBufferPointer, at now: Int64) {
    guard isOpen else { return }
    let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count < 0 {
      if errno != EAGAIN, errno != EINTR { fail("receive: \(String(cString: strerror(errno)))") }
      return
    }
    do {
      if count == 0 { return try endOfInput() }
      try take(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: now)
    } catch {
      fail("\(error)")
    }
  }

  private func take(_ bytes: UnsafeRawBufferPointer, at now: Int64) throws {
    var rest = bytes
    while !rest.isEmpty, isOpen {
      guard isBusy else { throw LoadError("bytes that no request asked for") }
      let taken = try reader.feed(rest) { part in
        if !hasHead { headCame() }
        guard isStream else { return body.append(contentsOf: part) }
        try events.feed(part) { event in
          if isOpen { try receiver?.received(event, at: now, on: self) }
        }
      }
      if reader.status != nil, !hasHead { headCame() }
      guard isOpen, reader.isFinished else { return }
      rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
      try finish()
    }
  }

  private func headCame() {
    hasHead = true
    isStream = reader.head.lowercased().contains("content-type: text/event-stream")
    receiver?.opened(self)
  }

  private func endOfInput() throws {
    guard isBusy else { return close() }
    try reader.end()
    try finish()
  }

  private func finish() throws {
    if isStream, !events.isBetweenEvents { throw LoadError("the stream ends inside an event") }
    pending -= 1
    if reader.closes {
      if isBusy { throw LoadError("closed before the last response") }
      close()
    }
    receiver?.ended(self, fault: nil)
    if isBusy { expectResponse() }
  }

  private func fail(_ fault: String) {
    let (told, wasBusy) = (receiver, isBusy)
    pending = 0
    close()
    if wasBusy { told?.ended(self, fault: fault) }
  }
}
