import DockrionCore
import Glibc

/// Events in SSE form, one after the other, as Redis stores them and its channels carry them.
struct StoredEvents {
  struct Event {
    let bytes: UnsafeRawBufferPointer
    let sequence: Int
    let kind: EventKind
    let customName: String?
  }

  /// Calls `body` with each event in turn, as long as it returns true. What is no event ends the walk.
  static func forEach(_ stored: [UInt8], _ body: (Event) -> Bool) {
    stored.withUnsafeBytes { all in
      var start = 0
      while start < all.count, let end = end(of: all, from: start) {
        guard let event = event(UnsafeRawBufferPointer(rebasing: all[start..<end])), body(event) else {
          return
        }
        start = end
      }
    }
  }

  /// Behind the empty line that ends an event. Its JSON is one line, so none stands inside.
  private static func end(of all: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = all.baseAddress else { return nil }
    var at = start
    while at < all.count, let found = memchr(base + at, 10, all.count - at) {
      at = UnsafeRawPointer(found) - base + 1
      if at < all.count, all[at] == 10 { return at + 1 }
    }
    return nil
  }

  private static func event(_ bytes: UnsafeRawBufferPointer) -> Event? {
    var at = 0
    guard let id = line(bytes, &at, after: "id: "), let name = line(bytes, &at, after: "event: "),
      let sequence = Int(id), sequence > 0
    else { return nil }
    if let kind = EventKind(name: name), kind != .custom {
      return Event(bytes: bytes, sequence: sequence, kind: kind, customName: nil)
    }
    return Event(bytes: bytes, sequence: sequence, kind: .custom, customName: name)
  }

  private static func line(_ bytes: UnsafeRawBufferPointer, _ at: inout Int, after prefix: StaticString)
    -> String?
  {
    let length = prefix.utf8CodeUnitCount
    guard bytes.count - at > length, memcmp(bytes.baseAddress! + at, prefix.utf8Start, length) == 0,
      let end = bytes[at...].firstIndex(of: UInt8(ascii: "\n"))
    else { return nil }
    defer { at = end + 1 }
    return String(decoding: bytes[(at + length)..<end], as: UTF8.self)
  }
}
