import Dispatch
import DockrionCore
import Foundation
import Glibc
import Logging
import Testing

@testable import DockrionServer

/// Servers that live in this process, beside the tests.
@Suite(.sharesMachine) struct EmbeddedServerTests {
  private static func dockfile(grace: Int = 10) -> Dockfile {
    var dockfile = Dockfile(agent: Dockfile.Agent(name: "scripted"))
    (dockfile.expose.host, dockfile.expose.port) = ("127.0.0.1", 0)
    dockfile.runtime.shutdownGraceSeconds = grace
    return dockfile
  }

  private static let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
  }()

  private static func server(
    _ dockfile: Dockfile = dockfile(), agents: [String: any Agent] = [:], stopsOn signals: [Int32] = []
  ) -> Dockrion.Server {
    Dockrion.Server(dockfile, agents: agents, stopsOn: signals, logger: quiet)
  }

  private static func stream(_ address: Dockrion.Server.Address, _ body: String) throws -> EventStream {
    try EventStream(
      on: Connection(to: .tcp(try #require(address.port))),
      request: requestText("POST", "/invoke/stream", headers: ["X-Request-Id: r"], body: body))
  }

  @Test func startTellsTheRealPortAndStopEndsWhatStartBegan() throws {
    let server = Self.server()
    #expect(server.address == nil)
    let address = try server.start()
    let port = try #require(address.port)
    #expect(port > 0 && address.description == "http://127.0.0.1:\(port)")
    #expect(server.address == address)
    #expect(try Connection(to: .tcp(port)).request("GET", "/health").status == 200)
    server.stop()
    try server.run()
    #expect(throws: ClientError.self) { try Connection(to: .tcp(port)) }
    #expect(throws: ServerError.self) { try server.start() }
  }

  @Test func oneServerStopsWhileTheOtherStreams() throws {
    let (staying, leaving) = (Self.server(), Self.server(Self.dockfile(grace: 1)))
    let (here, there) = (try staying.start(), try leaving.start())
    #expect(here != there)
    let held = try Self.stream(here, #"{"tokens":200,"interval_ms":20}"#)
    let cancelled = try Self.stream(there, #"{"tokens":1,"hang":true}"#)
    #expect(try held.event()?.type == "started")
    #expect(try cancelled.event()?.type == "started")
    leaving.stop()
    try leaving.run()
    #expect(try cancelled.remainingEvents().map(\.type) == ["token", "cancelled"])
    let rest = try held.remainingEvents()
    #expect(rest.count == 201 && rest.last?.type == "complete")
    staying.stop()
    try staying.run()
  }

  @Test func aStopLetsStreamsComeToTheirEnd() throws {
    let server = Self.server()
    let stream = try Self.stream(try server.start(), #"{"tokens":20,"interval_ms":20}"#)
    #expect(try stream.event()?.type == "started")
    server.stop()
    server.stop()
    let events = try stream.remainingEvents()
    #expect(events.count == 21 && events.last?.type == "complete")
    try server.run()
  }

  @Test func runServesOnItsOwnThreadUntilAnotherStopsIt() throws {
    let server = Self.server(Self.dockfile(grace: 60))
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread {
      #expect(throws: Never.self) { try server.run() }
      ended.signal()
    }
    #expect(eventually(within: 10) { server.address != nil })
    let port = try #require(server.address?.port)
    #expect(try Connection(to: .tcp(port)).request("GET", "/health").status == 200)
    #expect(ended.wait(timeout: .now()) == .timedOut)
    server.stop()
    // An idle server does not use its grace up, which is longer.
    #expect(ended.wait(timeout: .now() + 20) == .success)
  }

  @Test func aServerThatWasStoppedBeforeItsStartEndsAtOnce() throws {
    let server = Self.server()
    server.stop()
    try server.run()
  }

  @Test func aTakenPortIsThrownByWhoeverStartsIt() throws {
    let first = Self.server()
    let port = try #require(try first.start().port)
    var dockfile = Self.dockfile()
    dockfile.expose.port = port
    for begin in [{ try $0.start() }, { try $0.run() }] as [(Dockrion.Server) throws -> Void] {
      let error = #expect(throws: ServerError.self) { try begin(Self.server(dockfile)) }
      #expect(error?.code == .bindFailed && error?.errno == EADDRINUSE)
      #expect(error?.description.contains("--port") == true)
    }
    first.stop()
    try first.run()
  }

  /// Signals are the process's: a server looks at them only where it was told to.
  @Test func signalsAreLeftAloneUnlessAskedFor() throws {
    signal(SIGUSR2, SIG_IGN)
    defer { signal(SIGUSR2, SIG_DFL) }
    let server = Self.server()
    let port = try #require(try server.start().port)
    kill(getpid(), SIGUSR2)
    #expect(try Connection(to: .tcp(port)).request("GET", "/health").status == 200)
    let listening = Self.server(stopsOn: [SIGUSR2])
    _ = try listening.start()
    let error = #expect(throws: ServerError.self) { try Self.server(stopsOn: [SIGUSR2]).start() }
    #expect(error?.code == .signalsTaken)
    kill(getpid(), SIGUSR2)
    try listening.run()
    // What the signal did before it does again.
    kill(getpid(), SIGUSR2)
    #expect(try Connection(to: .tcp(port)).request("GET", "/health").status == 200)
    let next = Self.server(stopsOn: [SIGUSR2])
    _ = try next.start()
    kill(getpid(), SIGUSR2)
    try next.run()
    server.stop()
    try server.run()
  }

  /// A program that handles its signals itself rotates the log of its server as well.
  @Test func reopenAccessLogGoesOnInANewFileAndLosesNothing() throws {
    let directory = try makeDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/access.log"
    func lines(_ name: String) throws -> [JSON] {
      let bytes = FileManager.default.contents(atPath: directory + "/" + name) ?? Data()
      return try DockrionServerTests.lines(of: String(decoding: bytes, as: UTF8.self))
    }
    var dockfile = Self.dockfile()
    dockfile.runtime.accessLog = path
    let server = Self.server(dockfile)
    // Before the start there is no file to be reopened, and nothing to be broken.
    server.reopenAccessLog()
    let connection = try Connection(to: .tcp(try #require(try server.start().port)))
    for round in 1...3 {
      #expect(try connection.request("GET", "/health").status == 200)
      try FileManager.default.moveItem(atPath: path, toPath: "\(path).\(round)")
      #expect(try connection.request("GET", "/ready").status == 200)
      server.reopenAccessLog()
      #expect(eventually(within: 10) { FileManager.default.fileExists(atPath: path) })
      let paths = try lines("access.log.\(round)").map { $0["path"]?.string }
      #expect(paths == ["/health", "/ready"])
    }
    #expect(try connection.request("GET", "/info").status == 200)
    server.stop()
    try server.run()
    #expect(try lines("access.log").map { $0["path"]?.string } == ["/info"])
    server.reopenAccessLog()
    // Without an access log there is nothing to do.
    let plain = Self.server()
    _ = try plain.start()
    plain.reopenAccessLog()
    plain.stop()
    try plain.run()
  }

  @Test func serversComeAndGoAndLeaveNoDescriptor() throws {
    func once() throws {
      let server = Self.server()
      let address = try server.start()
      let events = try Self.stream(address, #"{"tokens":3}"#).remainingEvents()
      #expect(events.last?.type == "complete")
      server.stop()
      try server.run()
    }
    try once()
    // Other tests open and close descriptors meanwhile: what is left behind grows with every round.
    let listening = { try Self.listeningSockets() }
    let before = try listening()
    for _ in 0..<20 { try once() }
    #expect(try listening() - before < 20)
  }

  private static func listeningSockets() throws -> Int {
    let names = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
    return names.count { name in
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + name))
        == "anon_inode:[eventpoll]"
    }
  }
}
