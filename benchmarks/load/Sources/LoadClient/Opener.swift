/// Opens many connections without flooding the server's backlog: so many wait for their first byte at once.
public final class Opener {
  private let loop: Loop
  private let receiver: any Receiver
  private let requests: Int
  private let request: (Int) -> [UInt8]
  private let unansweredMax: Int
  public private(set) var opened = 0
  /// Connections whose head has come; the receiver counts them here.
  public var answered = 0
  public private(set) var connections: [Connection] = []

  /// - Parameter request: the bytes to send on the connection of that number.
  public init(
    _ loop: Loop, _ receiver: any Receiver, count: Int, unansweredMax: Int = 128,
    request: @escaping (Int) -> [UInt8]
  ) {
    (self.loop, self.receiver, requests, self.request) = (loop, receiver, count, request)
    self.unansweredMax = unansweredMax
    connections.reserveCapacity(count)
  }

  public var isDone: Bool { answered == requests }

  /// Opens what may be opened now; returns how long the loop may wait for events, in milliseconds.
  public func step() throws -> Int32 {
    while opened < requests, opened - answered < unansweredMax {
      let connection = try loop.connect(tag: opened, receiver)
      connections.append(connection)
      opened += 1
      connection.send(request(connection.tag))
    }
    return 20
  }

  public func closeAll() {
    for connection in connections { connection.close() }
  }
}
