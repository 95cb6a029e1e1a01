import Foundation
import Synchronization

/// A cable between a server and Redis that can be slow, hold back what goes one way, or break.
///
///     let link = try RedisLink(to: redis.port)
///     link.hold(.answers)   // Redis carries commands out, and nobody hears of it
///     link.release()        // what was held arrives
final class RedisLink {
  struct Direction: OptionSet {
    let rawValue: Int
    static let commands = Direction(rawValue: 1)
    static let answers = Direction(rawValue: 2)
  }

  /// What the thread is told.
  private final class Switches: Sendable {
    let held = Atomic<Int>(0)
    let delayMilliseconds = Atomic<Int>(0)
    let isArmed = Atomic<Bool>(false)
    let isBroken = Atomic<Bool>(false)
    let isOver = Atomic<Bool>(false)
    let target: Atomic<Int>

    init(_ port: Int) { target = Atomic(port) }
  }

  let port: Int
  private let switches: Switches

  /// - Parameter trigger: a word of a command, for `holdAnswersOnTrigger`.
  init(to redisPort: Int, trigger: String = "created_at") throws {
    let (listener, port) = try Self.listen()
    self.port = port
    let switches = Switches(redisPort)
    self.switches = switches
    Thread.detachNewThread {
      var traffic = LinkTraffic(listener: listener, trigger: Array(trigger.utf8))
      while !switches.isOver.load(ordering: .relaxed) {
        traffic.turn(
          to: switches.target.load(ordering: .relaxed), held: { switches.held.load(ordering: .relaxed) },
          delay: UInt64(switches.delayMilliseconds.load(ordering: .relaxed)) * 1_000_000,
          isBroken: switches.isBroken.load(ordering: .relaxed),
          isArmed: { switches.isArmed.load(ordering: .relaxed) }
        ) {
          switches.isArmed.store(false, ordering: .relaxed)
          switches.held.bitwiseOr(Direction.answers.rawValue, ordering: .relaxed)
        }
      }
      traffic.close()
    }
  }

  deinit { switches.isOver.store(true, ordering: .relaxed) }

  /// Holds back what goes these ways; connections stay open, and new ones are accepted.
  func hold(_ directions: Direction) {
    switches.held.bitwiseOr(directions.rawValue, ordering: .relaxed)
  }

  /// Holds back answers from the moment on at which a command with the trigger's word passes.
  func holdAnswersOnTrigger() { switches.isArmed.store(true, ordering: .relaxed) }

  var isHolding: Bool { switches.held.load(ordering: .relaxed) != 0 }

  /// Lets what was held go on its way, and mends what was broken.
  func release() {
    switches.held.store(0, ordering: .relaxed)
    switches.isBroken.store(false, ordering: .relaxed)
  }

  /// Ends all connections, and new ones at once.
  func cut() { switches.isBroken.store(true, ordering: .relaxed) }

  /// Makes every answer arrive that much later.
  func delayAnswers(milliseconds: Int) {
    switches.delayMilliseconds.store(milliseconds, ordering: .relaxed)
  }

  /// New connections go to another Redis, as when an address moves.
  func move(to redisPort: Int) { switches.target.store(redisPort, ordering: .relaxed) }

  private static func listen() throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let listens = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && Glibc.listen(descriptor, 64) == 0
          && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard listens else { throw ClientError.system("listen") }
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }
}

/// The connections of a link, on its thread.
private struct LinkTraffic {
  private struct Pipe {
    let source: Int32
    let sink: Int32
    let bit: Int
    var waiting: [(due: UInt64, bytes: [UInt8])] = []
    var hasEnded = false
  }

  let listener: Int32
  let trigger: [UInt8]
  // Commands at even places, the answers to them behind.
  private var pipes: [Pipe] = []

  init(listener: Int32, trigger: [UInt8]) {
    self.listener = listener
    self.trigger = trigger
  }

  /// - Parameter held, isArmed: asked once bytes are there: what was switched while this waited for them counts.
  mutating func turn(
    to port: Int, held switched: () -> Int, delay: UInt64, isBroken: Bool, isArmed: () -> Bool,
    _ triggered: () -> Void
  ) {
    var entries = pipes.map { pollfd(fd: $0.hasEnded ? -1 : $0.source, events: Int16(POLLIN), revents: 0) }
    entries.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
    poll(&entries, nfds_t(entries.count), pipes.contains { !$0.waiting.isEmpty } ? 1 : 5)
    if isBroken { close(connectionsOnly: true) }
    let now = monotonicNanoseconds()
    var held = switched()
    for index in pipes.indices {
      if entries[index].revents != 0 {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = recv(pipes[index].source, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count > 0 {
          bytes.removeLast(bytes.count - count)
          if isArmed(), pipes[index].bit == 1, bytes.firstRange(of: trigger) != nil {
            held |= 2
            triggered()
          }
          pipes[index].waiting.append((pipes[index].bit == 2 ? now + delay : now, bytes))
        } else if count == 0 || errno != EAGAIN {
          pipes[index].hasEnded = true
        }
      }
      if held & pipes[index].bit != 0 { continue }
      while let first = pipes[index].waiting.first, first.due <= now {
        var sent = 0
        while sent < first.bytes.count {
          let count = first.bytes[sent...].withUnsafeBytes {
            send(pipes[index].sink, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
          }
          if count < 0 { break }
          sent += count
        }
        pipes[index].waiting.removeFirst()
      }
      if pipes[index].hasEnded, pipes[index].waiting.isEmpty {
        shutdown(pipes[index].sink, Int32(SHUT_WR))
      }
    }
    removeEnded()
    if entries.last?.revents != 0 { accept(to: port, isBroken: isBroken) }
  }

  private mutating func removeEnded() {
    for index in stride(from: pipes.count - 2, through: 0, by: -2)
    where pipes[index].hasEnded && pipes[index + 1].hasEnded && pipes[index].waiting.isEmpty {
      Glibc.close(pipes[index].source)
      Glibc.close(pipes[index].sink)
      pipes.removeSubrange(index...(index + 1))
    }
  }

  private mutating func accept(to port: Int, isBroken: Bool) {
    let client = Glibc.accept(listener, nil, nil)
    guard client >= 0 else { return }
    guard !isBroken, let redis = try? openSocket(to: .tcp(port), receiveBuffer: nil) else {
      Glibc.close(client)
      return
    }
    var yes: Int32 = 1
    for descriptor in [client, redis] {
      setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
    }
    pipes.append(Pipe(source: client, sink: redis, bit: 1))
    pipes.append(Pipe(source: redis, sink: client, bit: 2))
  }

  mutating func close(connectionsOnly: Bool = false) {
    for index in stride(from: 0, to: pipes.count, by: 2) {
      Glibc.close(pipes[index].source)
      Glibc.close(pipes[index].sink)
    }
    pipes = []
    if !connectionsOnly { Glibc.close(listener) }
  }
}
