import Yams

/// A text cut into lines where YAML's reader cuts it, so that the line of a mark is the line here.
struct TextLines {
  private let bytes: [UInt8]
  /// Where each line starts, and at the end where the text does.
  private let starts: [Int]
  /// The text's own line end: that of its first line.
  let lineEnd: String

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    var starts = [bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0]
    var firstEnd: String?
    var at = starts[0]
    while at < bytes.count {
      let length = Self.lengthOfLineEnd(bytes, at)
      if length == 0 {
        at += 1
        continue
      }
      firstEnd = firstEnd ?? (bytes[at] == 0x0D && length == 2 ? "\r\n" : "\n")
      at += length
      starts.append(at)
    }
    if starts.last != bytes.count || bytes.isEmpty { starts.append(bytes.count) }
    self.starts = starts
    lineEnd = firstEnd ?? "\n"
  }

  /// LF, CRLF, CR, and what YAML 1.1 has besides: U+0085, U+2028, U+2029. 0 where no line ends.
  private static func lengthOfLineEnd(_ bytes: [UInt8], _ at: Int) -> Int {
    switch bytes[at] {
    case 0x0A: 1
    case 0x0D: at + 1 < bytes.count && bytes[at + 1] == 0x0A ? 2 : 1
    case 0xC2: at + 1 < bytes.count && bytes[at + 1] == 0x85 ? 2 : 0
    case 0xE2:
      at + 2 < bytes.count && bytes[at + 1] == 0x80 && bytes[at + 2] & 0xFE == 0xA8 ? 3 : 0
    default: 0
    }
  }

  var count: Int { starts.count - 1 }

  /// Where the line starts; the text's end for the line behind the last one.
  func start(of line: Int) -> Int { starts[min(line, count)] }

  /// The line that starts there.
  func index(of start: Int) -> Int { starts.firstIndex(of: start) ?? count }

  /// The line with its end.
  func content(of line: Int) -> ArraySlice<UInt8> { bytes[starts[line]..<starts[line + 1]] }

  func isBlank(_ line: Int) -> Bool { content(of: line).allSatisfy { Self.isSpace($0) } }

  func isBlankOrComment(_ line: Int) -> Bool {
    content(of: line).first { !Self.isSpace($0) }.map { $0 == UInt8(ascii: "#") } ?? true
  }

  /// True for a comment with more than `indentation` spaces in front.
  func isComment(_ line: Int, beyond indentation: Int) -> Bool {
    let spaces = content(of: line).prefix { $0 == UInt8(ascii: " ") }.count
    return spaces > indentation && !isBlank(line) && isBlankOrComment(line)
  }

  /// True when an opening brace stands before that place, outside of comments.
  func hasBrace(before mark: Mark) -> Bool {
    (0..<min(mark.line, count)).contains { index in
      var text = String(decoding: content(of: index), as: UTF8.self).unicodeScalars[...]
      if index == mark.line - 1 { text = text.prefix(mark.column - 1) }
      var isAfterSpace = true
      for scalar in text {
        if scalar == "#", isAfterSpace { return false }
        if scalar == "{" { return true }
        isAfterSpace = scalar == " " || scalar == "\t"
      }
      return false
    }
  }

  /// Where the document ends: before the first `...` from that line on, or at the text's end.
  func documentEnd(after line: Int) -> Int {
    for index in max(line, 0)..<max(count, line, 0) {
      let content = content(of: index)
      guard content.starts(with: "...".utf8) else { continue }
      if content.dropFirst(3).first.map(Self.isSpace) ?? true { return starts[index] }
    }
    return bytes.count
  }

  /// True when the line before that position has nothing on it.
  func endsInBlankLine(before position: Int) -> Bool {
    let line = starts.lastIndex { $0 < position } ?? 0
    return count == 0 || isBlank(line)
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }
}
