import Glibc

/// Where the parts of an event lie in its wire form, so that another form can take them over as they are.
///
///     id: 12\nevent: token\ndata: {"run_id":"r","type":"token","sequence":12,"timestamp":"…","content":"Hi"}\n\n
///                               ╰───────────────────────────── json ────────────────────────────────────╯
///                                                                                                 ╰content
public struct EventLayout: Equatable, Sendable {
  /// The object behind `data: `, braces included. In an `EventRecord` it still lacks its sequence.
  public let json: Range<Int>
  /// A token's `content`, as JSON has it, quotes included; nil for other events.
  public let content: Range<Int>?

  /// Nil when that is no event of ours.
  public init?(_ text: UnsafeRawBufferPointer) {
    guard let base = text.baseAddress, text.count > 2,
      let start = Self.end(of: "\ndata: ", in: text, from: 0),
      text[text.count - 1] == UInt8(ascii: "\n"), text[text.count - 2] == UInt8(ascii: "\n")
    else { return nil }
    json = start..<(text.count - 2)
    let name: StaticString = "event: token\n"
    let length = name.utf8CodeUnitCount
    // Behind the line with the id, where there is one.
    let at = text[0] == UInt8(ascii: "i") ? Self.end(of: "\n", in: text, from: 0) ?? 0 : 0
    guard text.count - at > length, memcmp(base + at, name.utf8Start, length) == 0,
      let quote = Self.end(of: ",\"content\":", in: text, from: start),
      let end = Self.endOfString(text, from: quote)
    else {
      content = nil
      return
    }
    content = quote..<end
  }

  /// Behind the first occurrence of `words`; what stands before a token's content has no text of the agent's.
  private static func end(of words: StaticString, in text: UnsafeRawBufferPointer, from start: Int) -> Int? {
    let length = words.utf8CodeUnitCount
    guard let base = text.baseAddress else { return nil }
    var at = start
    while at + length <= text.count, let found = memchr(base + at, Int32(words.utf8Start[0]), text.count - at)
    {
      at = UnsafeRawPointer(found) - base
      if at + length <= text.count, memcmp(found, words.utf8Start, length) == 0 { return at + length }
      at += 1
    }
    return nil
  }

  /// Behind the closing quote of the string whose opening one stands at `start`.
  private static func endOfString(_ text: UnsafeRawBufferPointer, from start: Int) -> Int? {
    guard let base = text.baseAddress, text[start] == UInt8(ascii: "\"") else { return nil }
    var from = start + 1
    while from < text.count, let found = memchr(base + from, Int32(UInt8(ascii: "\"")), text.count - from) {
      let at = UnsafeRawPointer(found) - base
      var backslashes = 0
      while text[at - 1 - backslashes] == UInt8(ascii: "\\") { backslashes += 1 }
      if backslashes.isMultiple(of: 2) { return at + 1 }
      from = at + 1
    }
    return nil
  }
}

extension EventRecord {
  /// Where the parts of its text lie; nil when it has none. It is looked for at every call.
  public var layout: EventLayout? { withText { EventLayout($0) } }
}
