import DockrionCore
import Glibc

/// What an event frame becomes: its members are copied, not parsed.
enum PythonEvent {
  private static let kinds: [EventKind] = [.custom, .token, .step, .progress, .checkpoint]

  /// - Parameter payload: the custom event's name, then members without braces.
  static func record(
    _ frame: PythonFrame, _ payload: UnsafeRawBufferPointer, _ encoder: EventEncoder
  ) throws(PythonFrameError) -> EventRecord {
    let kind = kinds[frame.large]
    let members = UnsafeRawBufferPointer(rebasing: payload[frame.small...])
    let text = try PythonText(members)
    var name: String?
    if kind == .custom {
      let custom = String(decoding: payload[..<frame.small], as: UTF8.self)
      guard EventKind.isCustomName(custom) else {
        throw PythonFrameError("an event named \(quoted(custom))")
      }
      name = custom
    }
    // Pattern A has a step's name twice.
    var node: Range<Int>?
    if kind == .step, encoder.identity.runID == nil { node = nodeName(members) }
    return encoder.record(kind, customName: name, sizeHint: members.count + (node?.count ?? 0)) { out in
      guard !members.isEmpty else { return }
      out.append(UInt8(ascii: ","))
      text.write(members, to: &out)
      if let node {
        out.append(",\"node\":")
        text.write(UnsafeRawBufferPointer(rebasing: members[node]), to: &out)
      }
    }
  }

  /// Where the name of a step stands, quotes included: it is the first member.
  private static func nodeName(_ members: UnsafeRawBufferPointer) -> Range<Int>? {
    let name: StaticString = "\"node_name\":\""
    let start = name.utf8CodeUnitCount
    guard let base = members.baseAddress, members.count > start, memcmp(base, name.utf8Start, start) == 0
    else { return nil }
    var at = start
    while at < members.count {
      if members[at] == UInt8(ascii: "\"") { return (start - 1)..<(at + 1) }
      at += members[at] == UInt8(ascii: "\\") ? 2 : 1
    }
    return nil
  }
}

/// JSON text of a worker's, looked through once: it must fit one line of an event stream.
struct PythonText {
  // U+0085, U+2028 or U+2029 may be in it: clients that cut lines with Unicode's rules would cut an event in two.
  private let mayHoldSeparators: Bool

  /// - Throws: `PythonFrameError` for a byte below 0x20, which JSON has no place for on one line.
  init(_ bytes: UnsafeRawBufferPointer) throws(PythonFrameError) {
    let high: UInt64 = 0x8080_8080_8080_8080
    var (controls, others): (UInt64, UInt64) = (0, 0)
    var at = 0
    while bytes.count - at >= 8 {
      let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
      controls |= (word &- 0x2020_2020_2020_2020) & ~word
      others |= word
      at += 8
    }
    var isClean = controls & high == 0
    while at < bytes.count {
      if bytes[at] < 0x20 { isClean = false }
      others |= UInt64(bytes[at])
      at += 1
    }
    guard isClean else { throw PythonFrameError("text with a byte below 0x20") }
    mayHoldSeparators = others & high != 0
  }

  /// Writes it, or a part of it.
  func write(_ bytes: UnsafeRawBufferPointer, to out: inout ByteWriter) {
    guard mayHoldSeparators else { return out.append(bytes) }
    var written = 0
    var at = 0
    while at < bytes.count {
      guard let (escape, length) = Self.separator(bytes, at) else {
        at += 1
        continue
      }
      out.append(UnsafeRawBufferPointer(rebasing: bytes[written..<at]))
      out.append(escape)
      at += length
      written = at
    }
    out.append(UnsafeRawBufferPointer(rebasing: bytes[written...]))
  }

  private static func separator(_ bytes: UnsafeRawBufferPointer, _ at: Int) -> (StaticString, Int)? {
    if bytes[at] == 0xE2, at + 2 < bytes.count, bytes[at + 1] == 0x80 {
      if bytes[at + 2] == 0xA8 { return ("\\u2028", 3) }
      if bytes[at + 2] == 0xA9 { return ("\\u2029", 3) }
    }
    if bytes[at] == 0xC2, at + 1 < bytes.count, bytes[at + 1] == 0x85 { return ("\\u0085", 2) }
    return nil
  }
}
