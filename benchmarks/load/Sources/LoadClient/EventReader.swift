import Glibc

/// One server-sent event, as much of it as a measurement needs.
public struct Event: Equatable, Sendable {
  public enum Kind: Equatable, Sendable {
    case started, token, terminal, heartbeat, gap, timeout, other
  }

  /// What a token of the `scripted` agent says.
  public enum Content: Equatable, Sendable {
    /// `tokN `: the token's number, from 0.
    case number(Int)
    /// `t=N `: when it was emitted, on `CLOCK_MONOTONIC`.
    case stamp(Int64)
  }

  public var kind: Kind
  /// The `id:` line's number.
  public var id: Int?
  /// `"sequence"` in the data.
  public var sequence: Int?
  public var content: Content?

  public init(kind: Kind, id: Int? = nil, sequence: Int? = nil, content: Content? = nil) {
    (self.kind, self.id, self.sequence, self.content) = (kind, id, sequence, content)
  }
}

/// Takes `text/event-stream` apart as its bytes come (WHATWG HTML, 9.2.6; lines end with LF).
public final class EventReader {
  /// Of a line that has not come in one piece.
  private var partial: [UInt8] = []
  private var event = Event(kind: .other)
  private var hasData = false

  public init() {}

  /// True between two events.
  public var isBetweenEvents: Bool { partial.isEmpty && !hasData }

  public func feed(
    _ bytes: UnsafeRawBufferPointer, event handle: (Event) throws -> Void
  ) throws {
    guard let base = bytes.baseAddress else { return }
    var at = 0
    while at < bytes.count, let found = memchr(base + at, 10, bytes.count - at) {
      let end = UnsafeRawPointer(found) - base
      if partial.isEmpty {
        try take(UnsafeRawBufferPointer(rebasing: bytes[at..<end]), handle)
      } else {
        partial.append(contentsOf: bytes[at..<end])
        let line = partial
        partial.removeAll(keepingCapacity: true)
        try line.withUnsafeBytes { try take($0, handle) }
      }
      at = end + 1
    }
    partial.append(contentsOf: bytes[at...])
    guard partial.count <= 4 << 20 else { throw LoadError("a line of more than 4 MiB in an event stream") }
  }

  private func take(_ line: UnsafeRawBufferPointer, _ handle: (Event) throws -> Void) rethrows {
    guard !line.isEmpty else {
      if hasData { try handle(event) }
      event = Event(kind: .other)
      hasData = false
      return
    }
    if line.starts(with: "data: ") {
      hasData = true
      read(data: UnsafeRawBufferPointer(rebasing: line[6...]))
    } else if line.starts(with: "event: ") {
      event.kind = kind(UnsafeRawBufferPointer(rebasing: line[7...]))
    } else if line.starts(with: "id: ") {
      // Other servers' ids need not be numbers.
      let isNumber = line[4...].allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
      event.id = isNumber ? line.number(at: 4).map { Int($0) } : nil
    }
  }

  private func kind(_ name: UnsafeRawBufferPointer) -> Event.Kind {
    if name.equals("token") { return .token }
    if name.equals("started") { return .started }
    if name.equals("complete") || name.equals("error") || name.equals("cancelled") { return .terminal }
    if name.equals("heartbeat") { return .heartbeat }
    if name.equals("gap") { return .gap }
    if name.equals("timeout") { return .timeout }
    return .other
  }

  private func read(data: UnsafeRawBufferPointer) {
    guard let sequence = data.end(of: "\"sequence\":") else { return }
    event.sequence = data.number(at: sequence).map { Int($0) }
    guard let content = data.end(of: "\"content\":\"", from: sequence) else { return }
    let text = UnsafeRawBufferPointer(rebasing: data[content...])
    if text.starts(with: "tok") {
      event.content = text.number(at: 3).map { .number(Int($0)) }
    } else if text.starts(with: "t=") {
      event.content = text.number(at: 2).map { .stamp($0) }
    }
  }
}

extension UnsafeRawBufferPointer {
  fileprivate func starts(with text: StaticString) -> Bool {
    guard let baseAddress, count >= text.utf8CodeUnitCount else { return false }
    return memcmp(baseAddress, text.utf8Start, text.utf8CodeUnitCount) == 0
  }

  fileprivate func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && starts(with: text)
  }

  /// The position behind the first place where `text` stands.
  fileprivate func end(of text: StaticString, from start: Int = 0) -> Int? {
    guard let baseAddress else { return nil }
    let length = text.utf8CodeUnitCount
    var at = start
    while at + length <= count,
      let found = memchr(baseAddress + at, Int32(text.utf8Start.pointee), count - length - at + 1)
    {
      let place = UnsafeRawPointer(found) - baseAddress
      if memcmp(found, text.utf8Start, length) == 0 { return place + length }
      at = place + 1
    }
    return nil
  }

  /// The decimal number that begins there; nil where no digit stands.
  fileprivate func number(at start: Int) -> Int64? {
    var value: Int64 = 0
    var at = start
    while at < count, case let digit = self[at], digit >= 0x30, digit <= 0x39, at - start < 18 {
      value = value * 10 + Int64(digit - 0x30)
      at += 1
    }
    return at > start ? value : nil
  }
}
