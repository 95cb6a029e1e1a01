import Foundation
import Testing

/// What `dockrion run` meets at its start, besides a good Dockfile.
struct StartHazardTests {
  /// What a shell does to give the program an output that nobody reads any more.
  private static func unread(_ descriptor: Int) -> String {
    "mkfifo f; true <f & exec \(descriptor)>f; wait"
  }

  private static func dockfile(_ sections: String = "") -> String {
    "agent: {name: bot, handler: echo}\nruntime: {shutdown_grace_seconds: 0}\n" + sections
  }

  private func answers(_ port: Int) -> Bool {
    guard let peer = try? Peer(connectingTo: port) else { return false }
    guard (try? peer.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")) != nil else { return false }
    return (try? peer.request())?.hasPrefix("HTTP/1.1 200") ?? false
  }

  @Test(arguments: [1, 2])
  func servesWhenNobodyReadsItsLines(descriptor: Int) throws {
    let port = try Listener().port
    // The warning goes to standard error before anything else does.
    let directory = try TemporaryDirectory(
      dockfile: Self.dockfile("expose: {host: 127.0.0.1, port: \(port), hots: x}\n"))
    let command = try Command(["run"], in: directory, limit: Self.unread(descriptor))
    let served = eventually(within: 20) { answers(port) }
    #expect(served)
    command.signal(SIGTERM)
    #expect(try command.finish().code == 0)
  }

  /// A socket whose owner hangs: its queue is full, and whoever connects in the ordinary way waits for ever.
  @Test func aSocketWhoseOwnerHangsIsInUse() throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile())
    let path = directory.path + "/hanging.sock"
    let owner = try UnixSocket(listeningAt: path, queue: 0)
    var waiting: [UnixSocket] = []
    while let client = try UnixSocket(connectingTo: path) { waiting.append(client) }
    for start in [["run", "--unix-socket", path], ["run", "--unix-socket", path, "--log-level", "debug"]] {
      let result = try Command(start, in: directory).finish(within: 10)
      #expect(result.code == 1)
      #expect(result.err.contains("cannot listen on \"\(path)\": Address already in use"), "\(result.err)")
      #expect(result.err.contains("take another path"))
    }
    #expect(FileManager.default.fileExists(atPath: path), "it is not ours to remove")
    withExtendedLifetime((owner, waiting)) {}
  }

  @Test func aTakenPortNamesTheOption() throws {
    let taken = try Listener()
    let directory = try TemporaryDirectory(dockfile: Self.dockfile())
    let result = try dockrion("run", "--host", "127.0.0.1", "--port", "\(taken.port)", in: directory)
    #expect(result.code == 1)
    #expect(result.err.split(separator: "\n").count == 1)
    #expect(
      result.err.contains(
        "cannot listen on 127.0.0.1:\(taken.port): Address already in use; stop what listens there, or take "
          + "another port: --port"), "\(result.err)")
  }

  @Test func saysThatTheDescriptorLimitCutsTheConnections() throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile())
    for (limit, isCut) in [(500, true), (20_000, false)] {
      let command = try Command(
        ["run", "--host", "127.0.0.1", "--port", "0"], in: directory, limit: "ulimit -n \(limit)")
      let started = eventually(within: 20) { command.out.contains("serves bot") }
      #expect(started, "\(command.err)")
      let warning =
        "the descriptor limit of 500 leaves room for 436 connections, where runtime.max_connections asks for 16384"
      #expect(command.err.contains(warning) == isCut, "\(command.err)")
      command.signal(SIGTERM)
      #expect(try command.finish().code == 0)
    }
  }

  @Test(arguments: [
    ("0.0.0.0", "", true), ("::", "", true), ("0::0", "", true), ("127.0.0.1", "", false),
    ("0.0.0.0", "auth: {mode: api_key}\n", false),
  ])
  func saysThatAnybodyMayCall(host: String, auth: String, isOpen: Bool) throws {
    let directory = try TemporaryDirectory(dockfile: Self.dockfile(auth))
    let command = try Command(
      ["run", "--host", host, "--port", "0"], in: directory, environment: ["DOCKRION_API_KEY": "k"])
    let started = eventually(within: 20) { command.out.contains("serves bot") }
    #expect(started, "\(command.err)")
    let warns = command.err.contains("takes calls from every network of this machine")
    #expect(warns == isOpen, "\(command.err)")
    command.signal(SIGTERM)
    #expect(try command.finish().code == 0)
  }
}

/// One end of a Unix socket.
private final class UnixSocket {
  private let descriptor: Int32

  init(listeningAt path: String, queue: Int32) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    let code = Self.with(path) { bind(descriptor, $0, $1) }
    guard code == 0, listen(descriptor, queue) == 0 else { throw TestFailure("no socket at \(path)") }
  }

  /// Nil when the listener's queue is full.
  init?(connectingTo path: String) throws {
    let flags = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
    descriptor = socket(AF_UNIX, flags, 0)
    let result = Self.with(path) { connect(descriptor, $0, $1) }
    let code = errno
    if result != 0 {
      guard code == EAGAIN else { throw TestFailure("connect: \(String(cString: strerror(code)))") }
      return nil
    }
  }

  deinit { close(descriptor) }

  private static func with(_ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        call($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
