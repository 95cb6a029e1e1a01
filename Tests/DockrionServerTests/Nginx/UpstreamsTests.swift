import Foundation
import Testing

/// `config/nginx.conf` with its lines for several instances, before two servers on one Redis that take turns.
@Suite(.ownsMachine) struct UpstreamsTests {
  @Test func clientsThatReconnectAllTheTimeAssembleTheRun() throws {
    try withInstances { instances throws in
      try withNginx(before: instances.a, instances.b) { nginx throws in
        let run = try startRun(#"{"tokens":500,"interval_ms":4}"#, key: "only", nginx)
        let clients = (0..<8).map { Client(run, nginx, eventsAtOnce: 3 + $0) }
        let deadline = Deadline.in(60)
        while clients.contains(where: { !$0.isDone }), !deadline.hasPassed { try takeTurns(clients) }
        for client in clients { client.expectTheRun(count: 502) }
        for server in instances.servers {
          let served = try server.metrics().sum("dockrion_streams_closed_total")
          #expect(served > 40, "the two take turns")
        }
      }
    }
  }

  /// The run goes on, on the other one; half of the clients lose their connection.
  @Test func anUpstreamThatDiesCostsItsClientsAReconnect() throws {
    try withInstances { instances throws in
      try withNginx(before: instances.a, instances.b) { nginx throws in
        let run = try instances.a.startRun(#"{"tokens":400,"interval_ms":5}"#)
        let clients = (0..<8).map { _ in Client(run, nginx, eventsAtOnce: .max) }
        for client in clients {
          try client.open()
          try client.take(50)
        }
        #expect(clients.allSatisfy { $0.breaks.isEmpty })
        try instances.kill(instances.b)
        while let client = clients.first(where: { !$0.isDone }) {
          try client.open()
          try client.take(.max)
        }
        for client in clients { client.expectTheRun(count: 402) }
        // By turns half of them were on the one that died, and nginx goes on to the one that lives.
        let breaks = clients.map(\.breaks.count)
        #expect(breaks.sorted() == [0, 0, 0, 0, 1, 1, 1, 1], "\(clients.map(\.breaks))")
        #expect(try instances.a.run(run)["status"] == "completed")
      }
    }
  }

  /// One after the other is stopped with SIGTERM and started anew, while clients follow a run of the second and start
  /// others.
  @Test func aRollingRestartLosesNothing() throws {
    try withInstances(ports: [freePort(), freePort()], sections: "runtime: {shutdown_grace_seconds: 30}") {
      instances throws in
      try withNginx(before: instances.a, instances.b) { nginx throws in
        let run = try instances.b.startRun(#"{"tokens":800,"interval_ms":5}"#)
        let clients = (0..<6).map { Client(run, nginx, eventsAtOnce: 5 + $0) }
        var started: Set<String> = []
        var restarted = 0
        let deadline = Deadline.in(60)
        instances.a.signal(SIGTERM)
        while restarted < 2 || clients.contains(where: { !$0.isDone }) {
          guard !deadline.hasPassed else { throw ClientError("\(restarted) of 2 have been restarted") }
          try takeTurns(clients)
          started.insert(try startRun(#"{"tokens":2}"#, key: "start-\(started.count)", nginx))
          guard restarted < 2, instances.servers[restarted].hasExited else { continue }
          #expect(instances.servers[restarted].waitForExit(within: 1) == 0)
          try instances.restart(restarted)
          try instances.waitUntilReady()
          restarted += 1
          if restarted == 1 { instances.b.signal(SIGTERM) }
        }
        for client in clients { client.expectTheRun(count: 802) }
        #expect(try instances.a.run(run)["status"] == "completed", "the grace is long enough for it")
        #expect(started.count > 5)
        for id in started { _ = try instances.a.waitForRun(id, status: "completed") }
        #expect(try instances.b.get("/runs").json()["runs"]?.array?.count == min(50, started.count + 1))
      }
    }
  }

  /// Every client opens a stream, takes a few events, and closes it.
  private func takeTurns(_ clients: [Client]) throws {
    let open = clients.filter { !$0.isDone }
    for client in open { try client.open() }
    for client in open { try client.take(client.eventsAtOnce) }
    for client in open { client.close() }
  }

  /// As the guide says: again with the same key, as long as nobody can take it.
  private func startRun(_ body: String, key: String, _ nginx: NginxProcess) throws -> String {
    var last = "nothing"
    var id: String?
    let isStarted = eventually(within: 20) {
      do {
        let response = try Connection(to: nginx.endpoint).request(
          "POST", "/runs", headers: ["Idempotency-Key: \(key)", "Connection: close"], body: body)
        last = "\(response.status) \(response.text)"
        if response.status == 202 { id = try response.json()["run_id"]?.string }
        return response.status != 503
      } catch {
        last = "\(error)"
        return false
      }
    }
    guard isStarted, let id else { throw ClientError("POST /runs through nginx: \(last)") }
    return id
  }
}

private struct Misdelivery: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A client that follows a run through nginx and resumes with `Last-Event-ID` whatever happens to its connection.
private final class Client {
  let eventsAtOnce: Int
  /// Connections that broke, or were not answered with a stream.
  private(set) var breaks: [String] = []
  private let run: String
  private let nginx: NginxProcess
  private var events: [Event] = []
  private var stream: EventStream?

  init(_ run: String, _ nginx: NginxProcess, eventsAtOnce: Int) {
    (self.run, self.nginx, self.eventsAtOnce) = (run, nginx, eventsAtOnce)
  }

  var isDone: Bool { events.last?.isTerminal == true }

  /// Opens a stream behind the last event, unless one is open.
  func open() throws {
    guard stream == nil, !isDone else { return }
    let headers = events.last?.id.map { ["Last-Event-ID: \($0)"] } ?? []
    let deadline = Deadline.in(20)
    while stream == nil {
      do {
        stream = try EventStream(
          on: Connection(to: nginx.endpoint),
          request: requestText("GET", "/runs/\(run)/events", headers: headers))
      } catch {
        breaks.append("\(error)")
        if deadline.hasPassed { throw error }
        usleep(20_000)
      }
    }
  }

  /// Takes as many events, or those up to the end or to the break of the connection.
  func take(_ count: Int) throws {
    guard let stream else { return }
    var left = count
    do {
      while left > 0 {
        guard let event = try stream.event() else { return close() }
        guard let sequence = event.sequence else { continue }
        guard sequence == (events.last?.sequence ?? 0) + 1 else {
          throw Misdelivery("\(sequence) came behind \(events.last?.sequence ?? 0)")
        }
        events.append(event)
        left -= 1
      }
    } catch let error as ClientError {
      breaks.append("\(error)")
      close()
      if breaks.count > 100 { throw error }
    }
  }

  func close() {
    stream?.connection.close()
    stream = nil
  }

  func expectTheRun(count: Int, sourceLocation: SourceLocation = #_sourceLocation) {
    expectWholeStream(events, idField: "run_id", id: run, sourceLocation: sourceLocation)
    expectSequences(events, 1...count, sourceLocation: sourceLocation)
  }
}
