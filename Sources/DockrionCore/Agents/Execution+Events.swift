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
        try out.append(json: value, name: field, levels: Limits.valueLevelsMax)
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

// Behind `/invoke` nothing is sent, so nearly nothing is encoded: what has no numbers cannot fail but by its size, and text
// that is short enough cannot fail at all.
extension Execution {
  /// Bytes of text that fit an event whatever they are: a character takes six at most, and the rest of an event a few hundred.
  private static let safeTextBytes = Limits.eventBytesMax / 8

  func checkUnsentProgress(_ step: String, _ progress: Double, _ message: String?) throws {
    guard checksUnsent(.progress) else { return }
    if progress.isFinite, step.utf8.count + (message?.utf8.count ?? 0) <= Self.safeTextBytes { return }
    _ = try self.progress(step, progress, message)
  }

  func checkUnsentToken(_ content: String, _ finishReason: String?) throws {
    guard checksUnsent(.token) else { return }
    if content.utf8.count + (finishReason?.utf8.count ?? 0) <= Self.safeTextBytes { return }
    _ = try token(content, finishReason)
  }

  func checkUnsentStep(
    _ nodeName: String, _ durationMS: Double?, _ inputKeys: [String], _ outputKeys: [String]
  ) throws {
    guard checksUnsent(.step) else { return }
    // Pattern A has the name twice, and each key its quotes and comma.
    var bytes = 2 * nodeName.utf8.count
    for key in inputKeys { bytes += key.utf8.count + 1 }
    for key in outputKeys { bytes += key.utf8.count + 1 }
    if durationMS?.isFinite != false, bytes <= Self.safeTextBytes { return }
    _ = try step(nodeName, durationMS, inputKeys, outputKeys)
  }

  func checkUnsentCheckpoint(_ name: String, _ data: JSONObject) throws {
    if checksUnsent(.checkpoint) { _ = try checkpoint(name, data) }
  }

  func checkUnsentCustom(_ name: String, _ fields: JSONObject) throws {
    if checksUnsent(custom: name) { _ = try custom(name, fields) }
  }
}

extension EventEncoder {
  /// The `error` event of a failure.
  public func failureRecord(_ error: AgentError, ended: Bool = true) -> EventRecord {
    record(.error, ending: ended ? .failed(error) : nil) { out in
      out.append(member: "error", error.message)
      out.append(member: "code", error.code)
      if let details = error.detailsJSON {
        out.append(",\"details\":")
        out.append(details)
      }
    }
  }

  /// The `complete` event.
  ///
  /// - Parameter output: the output in JSON.
  package func completedRecord(
    _ output: UnsafeRawBufferPointer, _ ending: AgentEnding, _ latencySeconds: Double, agentName: String,
    framework: String
  ) throws -> EventRecord {
    try record(.complete, sizeHint: output.count, ending: ending) { out in
      out.append(",\"output\":")
      out.append(output)
      try out.append(member: "latency_seconds", latencySeconds)
      out.append(",\"metadata\":{\"agent\":")
      out.append(json: agentName)
      out.append(member: "framework", framework)
      out.append(UInt8(ascii: "}"))
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
