import Testing

/// Clients that leave without a word: nothing of theirs may stay.
@Suite(.ownsMachine) struct VanishedClientTests {
  private static let count = 500
  private static let heartbeat = "streaming: {events: {heartbeat_interval: 1}}"

  @Test func clientsThatLeaveBeforeTheirRequestIsWhole() throws {
    try expectNothingStays { server in
      for index in 0..<Self.count {
        let connection = try server.connect()
        let request = requestText("POST", "/invoke/stream", body: #"{"hang":true}"#)
        if index % 3 > 0 { try connection.send(Array(request.utf8.prefix(index % request.utf8.count))) }
        leave(connection, index)
      }
    }
  }

  @Test func clientsThatLeaveBeforeTheHead() throws {
    for path in ["/invoke/stream", "/invoke"] {
      try expectNothingStays { server in
        for index in 0..<Self.count {
          let connection = try server.connect()
          try connection.send(requestText("POST", path, body: #"{"tokens":1,"hang":true}"#))
          leave(connection, index)
        }
      }
    }
  }

  @Test func clientsThatLeaveDuringTheAgentsSilence() throws {
    try expectNothingStays { server in
      for index in 0..<Self.count {
        let stream = try server.invokeStream(#"{"tokens":1,"hang":true}"#)
        #expect(try stream.events(through: "token").count == 2)
        leave(stream.connection, index)
      }
    }
  }

  @Test func clientsThatLeaveInTheMiddleOfAChunk() throws {
    try expectNothingStays { server in
      for index in 0..<Self.count {
        let connection = try server.connect(receiveBuffer: 4096)
        try connection.send(
          requestText("POST", "/invoke/stream", body: #"{"tokens":100000,"token_bytes":3000}"#))
        #expect(try !connection.receive(until: .in(10)).isEmpty)
        leave(connection, index)
      }
    }
  }

  @Test func subscribersThatLeaveBeforeTheHeadDuringSilenceAndInTheMiddleOfAChunk() throws {
    try withServer(dockfile("scripted", Self.heartbeat)) { server throws in
      let silent = try server.startRun(#"{"tokens":1,"hang":true}"#)
      let long = try server.completedRun(#"{"tokens":5000,"token_bytes":1000}"#)
      let before = server.descriptorCount
      for index in 0..<Self.count {
        let early = try server.connect()
        try early.send(requestText("GET", "/runs/\(silent)/events"))
        leave(early, index)
        let stream = try server.subscribe(to: silent)
        #expect(try stream.events(through: "token").count == 2)
        leave(stream.connection, index)
        let connection = try server.connect(receiveBuffer: 4096)
        try connection.send(requestText("GET", "/runs/\(long)/events"))
        #expect(try !connection.receive(until: .in(10)).isEmpty)
        leave(connection, index)
      }
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_open_streams") == 0 })
      #expect(
        eventually(within: 5) { server.descriptorCount <= before }, "\(server.descriptorCount), not \(before)"
      )
      #expect(try server.run(silent)["status"] == "running", "Pattern B goes on without its subscribers")
      #expect(try server.metrics().sum("dockrion_active_runs") == 1)
    }
  }

  @Test func aHalfClosedClientStillGetsItsWholeStreamOrIsTreatedAsGone() throws {
    try withServer(dockfile("scripted", Self.heartbeat)) { server throws in
      let connection = try server.connect()
      try connection.send(requestText("POST", "/invoke/stream", body: #"{"tokens":1,"hang":true}"#))
      connection.halfClose()
      let gone = try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 }
      #expect(gone, "a client that will send nothing more cannot be told from one that left")
      #expect(connection.isClosedByServer(within: 5))
    }
  }

  /// Neither an agent nor a descriptor is left, and memory has not grown by what so many clients would hold.
  private func expectNothingStays(_ visit: (ServerProcess) throws -> Void) throws {
    try withServer(dockfile("scripted", Self.heartbeat)) { server throws in
      // The first agent that sleeps makes the runtime open descriptors of its own, once.
      #expect(try server.post("/invoke", #"{"tokens":2,"interval_ms":5}"#).status == 200)
      let before = server.descriptorCount
      try visit(server)
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_open_streams") == 0 })
      #expect(
        eventually(within: 5) { server.descriptorCount <= before }, "\(server.descriptorCount), not \(before)"
      )
      let settled = server.residentBytes
      try visit(server)
      #expect(try eventually(within: 10) { try server.metrics().sum("dockrion_active_runs") == 0 })
      #expect(
        eventually(within: 5) { server.descriptorCount <= before }, "\(server.descriptorCount), not \(before)"
      )
      let growth = server.residentBytes - settled
      print("after \(Self.count) more vanished clients: \(growth / 1024) KiB more resident memory")
      #expect(growth < Self.count * 8 * 1024)
      #expect(try server.post("/invoke", #"{"tokens":1}"#).status == 200)
      // Also a stream that ended before its head went out is counted as what it would have been.
      #expect(try server.metrics().sum("dockrion_requests_total", ["status": "0"]) == 0)
    }
  }

  private func leave(_ connection: Connection, _ index: Int) {
    if index.isMultiple(of: 2) { connection.close() } else { connection.reset() }
  }
}
