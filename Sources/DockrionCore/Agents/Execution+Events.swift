// The built-in events' fields, as section 9 of the wire protocol lists them.
extension Execution {
  func progress(_ step: String, _ progress: Double, _ message: String?) throws -> EventRecord {
    guard !progress.isNaN else {
      throw EmitError.notRepresentable("progress: NaN has no JSON form; a number from 0 to 1 is needed")
    }
    return try checked(.progress, sizeHint: step.utf8.count) { out in
      out.append(member: "step", step)
      try out.append(member: "progress", min(max(progress, 0), 1))
      if let message { out.append(member: "message", message) }
    }
  }

  func checkpoint(_ name: String, _ data: JSONObject) throws -> EventRecord {
    try checked(.checkpoint) { out in
      out.append(member: "name", name)
      try out.append(member: "data", data)
    }
  }

  func token(_ content: String, _ finishReason: String?) throws -> EventRecord {
    try checked(.token, sizeHint: content.utf8.count) { out in
      out.append(member: "content", content)
      if let finishReason { out.append(member: "finish_reason", finishReason) }
    }
  }

  func step(
    _ nodeName: String, _ durationMS: Double?, _ inputKeys: [String], _ outputKeys: [String]
  ) throws -> EventRecord {
    try checked(.step, sizeHint: nodeName.utf8.count) { out in
      out.append(member: "node_name", nodeName)
      if case .request = encoder.identity { out.append(member: "node", nodeName) }
      if let durationMS { try out.append(member: "duration_ms", durationMS) }
      out.append(member: "input_keys", inputKeys)
      out.append(member: "output_keys", outputKeys)
    }
  }

  func custom(_ name: String, _ fields: JSONObject) throws -> EventRecord {
    for field in fields.names where EventEncoder.commonFields.contains(field) {
      throw EmitError.reservedField(field, event: name)
    }
    return try checked(.custom, customName: name) { out in
      for (field, value) in fields {
        out.append(UInt8(ascii: ","))
        out.append(json: field)
        out.append(UInt8(ascii: ":"))
        try out.append(json: value, name: field)
      }
    }
  }

  private func checked(
    _ kind: EventKind, customName: String? = nil, sizeHint: Int = 0, fields: (inout ByteWriter) throws -> Void
  ) throws -> EventRecord {
    let record: EventRecord
    do {
      record = try encoder.record(kind, customName: customName, sizeHint: sizeHint, fields: fields)
    } catch let error as JSONWriteError {
      throw EmitError.notRepresentable(error.description)
    }
    guard record.count <= Limits.eventBytesMax else {
      throw EmitError.tooLarge(bytes: record.count)
    }
    return record
  }
}

extension EventEncoder {
  /// The `error` event of a failure. Details that JSON cannot hold are replaced by a sentence that says so.
  public func failureRecord(_ error: AgentError, ended: Bool = true) -> EventRecord {
    var details: [UInt8]?
    if let object = error.details {
      var writer = ByteWriter()
      do { try writer.append(json: object, name: "details") } catch let problem {
        writer.removeAll()
        writer.append("{\"unreadable\":")
        writer.append(json: problem.description)
        writer.append(UInt8(ascii: "}"))
      }
      details = writer.array()
    }
    return record(.error, ending: ended ? .failed(error) : nil) { out in
      out.append(member: "error", error.message)
      out.append(member: "code", error.code)
      if let details {
        out.append(",\"details\":")
        out.append(details)
      }
    }
  }

  /// The `started` event.
  public func startedRecord(agentName: String, framework: String) -> EventRecord {
    record(.started) { out in
      out.append(member: "agent_name", agentName)
      out.append(member: "framework", framework)
    }
  }

  /// The `cancelled` event.
  public func cancelledRecord(reason: String?) -> EventRecord {
    record(.cancelled) { out in
      if let reason { out.append(member: "reason", reason) }
    }
  }
}
