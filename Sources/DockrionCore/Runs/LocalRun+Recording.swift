extension LocalRun {
  /// One event as a client of `/invoke/stream` gets it.
  public struct Event: Sendable, Equatable {
    /// `token`, `step`, …, or a custom event's name.
    public let type: String
    /// 1, 2, 3, …
    public let sequence: Int
    /// The event's own fields, without the common ones (`request_id`, `type`, `sequence`, `timestamp`).
    public let fields: JSONObject
  }

  /// What an agent said and how it ended.
  public struct Recording: Sendable {
    /// Every event, `started` first and the terminal one last.
    public let events: [Event]
    public let outcome: Outcome

    /// The output of an agent that completed; nil otherwise.
    public var output: JSONObject? {
      events.last.flatMap { $0.type == "complete" ? $0.fields["output"]?.object : nil }
    }

    /// What the agent failed with; nil when it did not.
    public var error: AgentError? { if case .failed(let error) = outcome { error } else { nil } }

    /// The contents of all tokens, joined.
    public var text: String {
      events.lazy.filter { $0.type == "token" }.compactMap { $0.fields["content"]?.string }.joined()
    }
  }

  /// Runs an agent once and returns everything that it said: for tests.
  ///
  ///     let run = try LocalRun.record(SupportBot(), input: ["question": "Where is my invoice?"])
  ///     #expect(run.events.map(\.type) == ["started", "progress", "token", "complete"])
  ///     #expect(run.output == ["answered": true])
  ///
  /// The calling thread waits for the agent, whose code runs on others.
  ///
  /// - Parameters:
  ///   - input: the payload; it is checked as a server checks it.
  ///   - dockfile: whose filter, `io_schema.input` and time limit hold; by default everything passes.
  /// - Throws: `InputSchemaViolation` when the payload is none that the agent takes.
  public static func record(
    _ agent: any Agent, input: JSONObject = [:],
    dockfile: Dockfile = Dockfile(agent: Dockfile.Agent(name: "test"))
  ) throws -> Recording {
    if let violation = (dockfile.inputSchema ?? agent.inputSchema)?.check(input) { throw violation }
    var events: [Event] = []
    var writer = ByteWriter()
    let outcome = try LocalRun(dockfile, identity: .request("test")).play(agent, input: input) {
      sequence, record in
      writer.removeAll()
      record.write(sequence: sequence, id: false, to: &writer)
      events.append(try Event(wire: writer.bytes, sequence: sequence))
    }
    return Recording(events: events, outcome: outcome)
  }
}

extension LocalRun.Event {
  /// Reads what a record writes: `event: TYPE`, `data: JSON`, an empty line.
  fileprivate init(wire: UnsafeRawBufferPointer, sequence: Int) throws {
    let text = String(decoding: wire, as: UTF8.self)
    let data = text.split(separator: "\n").last.map { $0.dropFirst("data: ".count) } ?? ""
    var fields = try JSONObject(parsing: String(data))
    type = fields["type"]?.string ?? ""
    for name in EventEncoder.commonFields { fields[name] = nil }
    self.sequence = sequence
    self.fields = fields
  }
}
