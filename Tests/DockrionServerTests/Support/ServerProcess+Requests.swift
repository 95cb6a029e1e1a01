import Testing

extension ServerProcess {
  func connect(receiveBuffer: Int32? = nil) throws -> Connection {
    try Connection(to: endpoint, receiveBuffer: receiveBuffer)
  }

  /// One request on a connection of its own.
  func request(
    _ method: String, _ path: String, headers: [String] = [], body: String? = nil, within seconds: Double = 10
  ) throws -> Response {
    try connect().request(
      method, path, headers: headers + ["Connection: close"], body: body, within: seconds)
  }

  func get(_ path: String, headers: [String] = []) throws -> Response {
    try request("GET", path, headers: headers)
  }

  func post(_ path: String, _ body: String, headers: [String] = []) throws -> Response {
    try request("POST", path, headers: headers, body: body)
  }

  /// Pattern A.
  func invokeStream(_ body: String, headers: [String] = [], receiveBuffer: Int32? = nil) throws -> EventStream
  {
    try EventStream(
      on: connect(receiveBuffer: receiveBuffer),
      request: requestText("POST", "/invoke/stream", headers: headers, body: body))
  }

  /// Starts a run and returns its id.
  func startRun(_ body: String, query: String = "") throws -> String {
    let response = try post("/runs" + query, body)
    guard response.status == 202, let id = try response.json()["run_id"]?.string else {
      throw ClientError("POST /runs: \(response.status) \(response.text)")
    }
    return id
  }

  /// A subscription to a run's events.
  func subscribe(
    to run: String, query: String = "", headers: [String] = [], receiveBuffer: Int32? = nil
  ) throws -> EventStream {
    try EventStream(
      on: connect(receiveBuffer: receiveBuffer),
      request: requestText("GET", "/runs/\(run)/events\(query)", headers: headers))
  }

  func run(_ id: String) throws -> JSON { try get("/runs/\(id)").json() }

  /// Waits until the run has this status, and returns it as it then is.
  func waitForRun(_ id: String, status: String, within seconds: Double = 10) throws -> JSON {
    var last = JSON.null
    let reached = try eventually(within: seconds) {
      last = try run(id)
      return last["status"]?.string == status
    }
    guard reached else { throw ClientError("run \(id) is not \(status): \(last)") }
    return last
  }

  /// Starts a run and waits until it has completed.
  func completedRun(_ body: String, query: String = "") throws -> String {
    let id = try startRun(body, query: query)
    _ = try waitForRun(id, status: "completed")
    return id
  }

  func metrics() throws -> Metrics { try Metrics(text: get("/metrics").text) }
}

/// Checks what every stream must be: events numbered 1, 2, 3 … from `first` on, in the form of the protocol's
/// sections 4 (`request_id`, no `id:`) or 6 (`run_id`, `id:`), with exactly one terminal event, at the end.
func expectWholeStream(
  _ events: [Event], idField: String, id: String, from first: Int = 1,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let stored = events.filter { !["heartbeat", "timeout", "gap"].contains($0.type) }
  #expect(
    stored.map(\.sequence) == (first..<(first + stored.count)).map { $0 }, sourceLocation: sourceLocation)
  #expect(stored.map(\.isTerminal).dropLast().contains(true) == false, sourceLocation: sourceLocation)
  #expect(events.last?.isTerminal == true, sourceLocation: sourceLocation)
  for event in stored {
    let common = "{\"\(idField)\":\"\(id)\",\"type\":\"\(event.type)\",\"sequence\":\(event.sequence ?? 0),"
    #expect(event.data.hasPrefix(common), "\(event.data)", sourceLocation: sourceLocation)
    let time = /"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"[,}]/
    #expect(
      event.data.dropFirst(common.count).prefixMatch(of: time) != nil, "\(event.data)",
      sourceLocation: sourceLocation)
    let expectedID = idField == "run_id" ? event.sequence.map(String.init) : nil
    #expect(event.id == expectedID, sourceLocation: sourceLocation)
  }
}

/// Between two events whose sequences are apart there stands the gap that says so, and exactly that one.
func expectEveryLossIsTold(
  _ events: [Event], sourceLocation: SourceLocation = #_sourceLocation
) throws {
  var expected = 1
  for event in events {
    if event.type == "gap" {
      let json = try event.json()
      #expect(json["from_sequence"]?.int == expected, "\(event.data)", sourceLocation: sourceLocation)
      expected = try #require(json["to_sequence"]?.int, sourceLocation: sourceLocation) + 1
    } else if let sequence = event.sequence {
      guard sequence == expected else {
        Issue.record("\(sequence) stands where \(expected) should", sourceLocation: sourceLocation)
        return
      }
      expected += 1
    }
  }
}
