/// Which events an agent's emits let through; asked before anything is encoded.
///
///     let filter = try EventsFilter(words: ["token", "custom:fraud_check"])
///     filter.passes(.token)                          // true
///     filter.passes(custom: "analytics")             // false
///
/// `started`, `complete`, `error` and `cancelled` always pass.
public struct EventsFilter: Sendable, Equatable {
  private var kinds: Set32
  private var customNames: Set<String>

  /// Lets everything through: the presets `debug` and `all`.
  public static let everything = EventsFilter(kinds: Set32(bits: ~0), customNames: [])
  /// Lets the mandatory events through and nothing else: the preset `minimal`.
  public static let minimal = EventsFilter(kinds: mandatory, customNames: [])
  /// Lets `token`, `step` and `heartbeat` through: the preset `chat`.
  public static let chat = EventsFilter(
    kinds: mandatory.union([.token, .step, .heartbeat]), customNames: [])

  /// The names of the presets.
  public static let presetNames = ["minimal", "chat", "debug", "all"]

  private static let mandatory = Set32([.started, .complete, .error, .cancelled])

  private init(kinds: Set32, customNames: Set<String>) {
    self.kinds = kinds
    self.customNames = customNames
  }

  /// The preset of that name, or nil.
  public init?(preset: String) {
    switch preset {
    case "minimal": self = .minimal
    case "chat": self = .chat
    case "debug", "all": self = .everything
    default: return nil
    }
  }

  /// A list of event types, `custom` for every custom event and `custom:NAME` for one.
  ///
  /// - Throws: `EventsFilterError` for a word that is none of these.
  public init(words: some Sequence<String>) throws(EventsFilterError) {
    var kinds = Self.mandatory
    var customNames: Set<String> = []
    for word in words {
      if word.hasPrefix("custom:") {
        let name = String(word.dropFirst("custom:".count))
        guard EventKind.isCustomName(name) else { throw EventsFilterError(word: word) }
        customNames.insert(name)
      } else if let kind = EventKind(name: word) {
        kinds.insert(kind)
      } else {
        throw EventsFilterError(word: word)
      }
    }
    self.init(kinds: kinds, customNames: customNames)
  }

  /// True when events of this kind pass; for `.custom`, when all custom events do.
  @inline(__always)
  public func passes(_ kind: EventKind) -> Bool { kinds.contains(kind) }

  /// True when the custom event of that name passes.
  public func passes(custom name: String) -> Bool { kinds.contains(.custom) || customNames.contains(name) }

  /// What passes besides the mandatory events, in the words of a Dockfile; `all` when everything does.
  public var words: [String] {
    if self == .everything { return ["all"] }
    let optional = EventKind.allCases.filter { passes($0) && !Self.mandatory.contains($0) }.map(\.name)
    return optional + customNames.sorted().map { "custom:\($0)" }
  }

  /// True when some custom event may pass.
  public var passesSomeCustom: Bool { kinds.contains(.custom) || !customNames.isEmpty }
}

/// A word in a filter that names no event.
public struct EventsFilterError: Error, Sendable, Equatable, CustomStringConvertible {
  public let word: String

  public var description: String {
    if EventsFilter(preset: word) != nil {
      return "\"\(word)\" is a preset and stands alone, not in a list"
    }
    return "\"\(word)\" is no event; use token, step, progress, checkpoint, heartbeat, custom or custom:NAME"
  }
}

/// What an event is, without its fields. The raw value is its bit in a filter.
public enum EventKind: UInt8, Sendable, CaseIterable {
  case started, progress, checkpoint, token, step, complete, error, cancelled, heartbeat, custom

  /// The word of the protocol; `custom` for every custom event.
  public var name: String { "\(word)" }

  /// The same word, for the encoder.
  var word: StaticString {
    switch self {
    case .started: "started"
    case .progress: "progress"
    case .checkpoint: "checkpoint"
    case .token: "token"
    case .step: "step"
    case .complete: "complete"
    case .error: "error"
    case .cancelled: "cancelled"
    case .heartbeat: "heartbeat"
    case .custom: "custom"
    }
  }

  /// The kind of that name, or nil.
  public init?(name: String) {
    guard let kind = Self.byName[name] else { return nil }
    self = kind
  }

  private static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name, $0) })

  /// True for the events that end a stream: `complete`, `error` and `cancelled`.
  public var isTerminal: Bool { self == .complete || self == .error || self == .cancelled }

  /// True for `^[A-Za-z_][A-Za-z0-9_.:-]{0,127}$` that is not a built-in event's name.
  public static func isCustomName(_ name: String) -> Bool {
    let utf8 = name.utf8
    guard let first = utf8.first, utf8.count <= Limits.eventNameBytesMax,
      isLetter(first) || first == UInt8(ascii: "_")
    else { return false }
    return utf8.allSatisfy { isLetter($0) || isDigit($0) || isMark($0) }
      && byName[name] == nil && !reserved.contains(name)
  }

  /// Events that belong to one subscription: an agent's event of that name could not be told from them.
  private static let reserved: Set<String> = ["gap", "timeout"]

  /// The names that no event of an agent's own may have.
  public static let reservedNames = allCases.map(\.name) + reserved.sorted()

  private static func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
  private static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A }
  private static func isMark(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "-"): true
    default: false
    }
  }
}

/// A set of event kinds in one word.
private struct Set32: Sendable, Equatable {
  var bits: UInt32

  init(bits: UInt32) { self.bits = bits }
  init(_ kinds: [EventKind]) { bits = kinds.reduce(0) { $0 | 1 << UInt32($1.rawValue) } }

  @inline(__always)
  func contains(_ kind: EventKind) -> Bool { bits & (1 << UInt32(kind.rawValue)) != 0 }
  mutating func insert(_ kind: EventKind) { bits |= 1 << UInt32(kind.rawValue) }
  func union(_ kinds: [EventKind]) -> Set32 { Set32(bits: bits | Set32(kinds).bits) }
}
