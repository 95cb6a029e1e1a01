/// Plays what the payload says: for trying a client, for tests and for load.
public struct ScriptedAgent: Agent {
  public var inputSchema: InputSchema? { Script.schema }

  public init() {}

  public func run(_ input: JSONObject, context: StreamContext) async throws -> JSONObject {
    let script = try Script(input)
    for act in script.acts { try await act.play(context) }
    if script.interval > .zero {
      try await script.emitPaced(context)
    } else {
      for index in 0..<script.tokens { try await context.emitToken(script.content(index)) }
    }
    if script.hangs { try await hang() }
    if script.block > .zero { block(for: script.block) }
    if let message = script.failure {
      throw AgentError(code: script.code, message: message, details: script.failureDetails)
    }
    return script.output
  }

  /// Waits for cancellation. Without a sleep: its timer would stand until its time, long after the cancellation.
  private func hang() async throws -> Never {
    let (nothing, source) = AsyncStream<Never>.makeStream()
    for await _ in nothing {}
    withExtendedLifetime(source) {}
    throw CancellationError()
  }

  /// Holds the thread whatever happens, as a badly behaved agent does.
  private func block(for duration: Duration) {
    let until = ContinuousClock.now + duration
    while ContinuousClock.now < until {
      let left = (until - ContinuousClock.now).components
      let nanoseconds = max(0, Int(left.seconds) * 1_000_000_000 + Int(left.attoseconds / 1_000_000_000))
      Clock.sleepThread(nanoseconds: nanoseconds)
    }
  }
}

/// A payload of the scripted agent, read as a whole before anything is played.
struct Script {
  var acts: [Act] = []
  var tokens = 16
  var interval = Duration.zero
  var tokenBytes = 0
  var stamp = false
  var hangs = false
  var block = Duration.zero
  var failure: String?
  var code = "AGENT_ERROR"
  var failureDetails: JSONObject?
  var output: JSONObject

  init(_ input: JSONObject) throws {
    let fields = Fields(object: try Self.unfolded(input), pointer: "")
    acts = try fields.array("emit").enumerated().map { try Act($1, pointer: "/emit/\($0)") }
    tokens = try fields.int("tokens", in: Self.tokensRange) ?? 16
    interval = .microseconds(Int64((try fields.number("interval_ms", in: Self.pauseRange) ?? 0) * 1000))
    tokenBytes = try fields.int("token_bytes", in: Self.tokenBytesRange) ?? 0
    stamp = try fields.bool("stamp") ?? false
    hangs = try fields.bool("hang") ?? false
    block = .microseconds(Int64((try fields.number("block_ms", in: Self.blockRange) ?? 0) * 1000))
    failure = try fields.string("fail")
    code = try fields.string("code") ?? "AGENT_ERROR"
    failureDetails = try fields.object("fail_details")
    output = try fields.object("output") ?? ["tokens": JSONValue(tokens)]
  }

  /// The payload with the fields of the object that its `text` holds, which win; chat clients can send text alone.
  private static func unfolded(_ input: JSONObject) throws -> JSONObject {
    guard let text = try Fields(object: input, pointer: "").string("text"),
      let inner = try? JSONObject(parsing: text)
    else { return input }
    var whole = input
    for (name, value) in inner { whole[name] = value }
    return whole
  }

  /// From beat to beat, so that late wake-ups do not add up; who was held up for longer than a beat starts anew.
  func emitPaced(_ context: StreamContext) async throws {
    var beat = ContinuousClock.now
    for index in 0..<tokens {
      if index > 0 {
        let now = ContinuousClock.now
        beat = (beat + interval > now ? beat : now) + interval
        try await Task.sleep(until: beat, clock: .continuous)
      }
      try await context.emitToken(content(index))
    }
  }

  /// The two and a space, in one step: under load an interpolation costs as much as the event around it.
  private static func text(_ name: StaticString, _ number: Int) -> String {
    let prefix = name.utf8CodeUnitCount
    var (rest, count) = (number, prefix + 2)
    while rest > 9 { (rest, count) = (rest / 10, count + 1) }
    // The exact size: up to 15 bytes need no memory.
    return String(unsafeUninitializedCapacity: count) { text in
      _ = text.initialize(from: UnsafeBufferPointer(start: name.utf8Start, count: prefix))
      text[count - 1] = UInt8(ascii: " ")
      rest = number
      for place in stride(from: count - 2, through: prefix, by: -1) {
        text[place] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      }
      return count
    }
  }

  func content(_ index: Int) -> String {
    var text = stamp ? Self.text("t=", Int(Clock.monotonicNanoseconds())) : Self.text("tok", index)
    let missing = tokenBytes - text.utf8.count
    if missing > 0 { text += String(repeating: "x", count: missing) }
    return text
  }
}

/// One entry of `emit`.
enum Act {
  case progress(String, Double, String?)
  case checkpoint(String, JSONObject)
  case token(String, String?)
  case step(String, Double?, [String], [String])
  case custom(String, JSONObject)
  case sleep(Duration)

  init(_ value: JSONValue, pointer: String) throws {
    guard let object = value.object else { throw Fields.mismatch(pointer, "an object", value) }
    let fields = Fields(object: object, pointer: pointer)
    switch try fields.required("type", fields.string) {
    case "progress":
      self = .progress(
        try fields.required("step", fields.string),
        try fields.required("progress") { try fields.number($0, in: Script.progressRange) },
        try fields.string("message"))
    case "checkpoint":
      self = .checkpoint(try fields.required("name", fields.string), try fields.object("data") ?? [:])
    case "token":
      self = .token(try fields.required("content", fields.string), try fields.string("finish_reason"))
    case "step":
      self = .step(
        try fields.required("node_name", fields.string),
        try fields.number("duration_ms", in: Script.durationRange),
        try fields.strings("input_keys"), try fields.strings("output_keys"))
    case "custom":
      self = .custom(try fields.required("name", fields.string), try fields.object("data") ?? [:])
    case "sleep":
      let milliseconds = try fields.required("ms") { try fields.number($0, in: Script.pauseRange) }
      self = .sleep(.microseconds(Int64(milliseconds * 1000)))
    case let other:
      throw Fields.problem(
        "\(pointer)/type",
        "\(quoted(other)) is none of progress, checkpoint, token, step, custom, sleep")
    }
  }

  func play(_ context: StreamContext) async throws {
    switch self {
    case .progress(let step, let progress, let message):
      try await context.emitProgress(step, progress, message: message)
    case .checkpoint(let name, let data): try await context.checkpoint(name, data)
    case .token(let content, let reason): try await context.emitToken(content, finishReason: reason)
    case .step(let node, let duration, let input, let output):
      try await context.emitStep(node, durationMS: duration, inputKeys: input, outputKeys: output)
    case .custom(let name, let data): try await context.emit(name, data)
    case .sleep(let duration): try await Task.sleep(for: duration)
    }
  }
}

/// Typed access to an object's members; a member that is absent or null is nil.
struct Fields {
  let object: JSONObject
  let pointer: String

  static func problem(_ pointer: String, _ message: String) -> AgentError {
    AgentError(code: "VALIDATION_ERROR", message: "\(pointer): \(message)")
  }

  static func mismatch(_ pointer: String, _ wanted: String, _ value: JSONValue) -> AgentError {
    problem(pointer, "\(wanted) is needed, not \(value.typeName)")
  }

  private func read<T>(_ name: String, _ wanted: String, _ convert: (JSONValue) -> T?) throws -> T? {
    guard let value = object[name], value != .null else { return nil }
    guard let converted = convert(value) else { throw Self.mismatch("\(pointer)/\(name)", wanted, value) }
    return converted
  }

  func string(_ name: String) throws -> String? { try read(name, "a string") { $0.string } }
  func bool(_ name: String) throws -> Bool? { try read(name, "a boolean") { $0.bool } }
  func object(_ name: String) throws -> JSONObject? { try read(name, "an object") { $0.object } }
  func array(_ name: String) throws -> [JSONValue] { try read(name, "an array") { $0.array } ?? [] }

  func strings(_ name: String) throws -> [String] {
    try read(name, "an array of strings") { value in
      value.array.flatMap { elements in
        let strings = elements.compactMap(\.string)
        return strings.count == elements.count ? strings : nil
      }
    } ?? []
  }

  func int(_ name: String, in range: ClosedRange<Int>) throws -> Int? {
    guard let value = try read(name, "an integer", { $0.int }) else { return nil }
    guard range.contains(value) else {
      throw Self.problem(
        "\(pointer)/\(name)", "\(value) is out of range (\(range.lowerBound)…\(range.upperBound))")
    }
    return value
  }

  func number(_ name: String, in range: ClosedRange<Double>) throws -> Double? {
    guard let value = try read(name, "a number", { $0.double }) else { return nil }
    guard range.contains(value) else {
      throw Self.problem(
        "\(pointer)/\(name)", "\(value) is out of range (\(range.lowerBound)…\(range.upperBound))")
    }
    return value
  }

  func required<T>(_ name: String, _ read: (String) throws -> T?) throws -> T {
    guard let value = try read(name) else { throw Self.problem("\(pointer)/\(name)", "it is required") }
    return value
  }
}
