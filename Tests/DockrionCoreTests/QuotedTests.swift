import DockrionCore
import Testing

struct QuotedTests {
  /// What would move a cursor, end the line or turn the direction of what follows.
  private static let hidden: [UInt32] =
    Array(0x00...0x1F) + Array(0x7F...0x9F) + [0x061C, 0x200E, 0x200F] + Array(0x2028...0x202E)
    + Array(0x2066...0x206F)

  @Test func whatDoesNotShowIsWrittenOut() throws {
    for value in Self.hidden {
      let scalar = try #require(Unicode.Scalar(value))
      let shown = quoted("a\(scalar)b")
      #expect(!shown.unicodeScalars.contains(scalar), "U+\(String(value, radix: 16))")
      #expect(shown.hasPrefix("\"a\\") && shown.hasSuffix("b\""), "\(shown.debugDescription)")
    }
    #expect(quoted("a\u{202E}b\u{9B}c\u{2066}") == #""a\u{202e}b\u{9b}c\u{2066}""#)
  }

  @Test func lettersOfAnyScriptAndJoinersShowAsTheyAre() {
    for text in ["Zoë", "שלום", "سلام", "日本", "👩\u{200D}💻", "a\u{A0}b"] {
      #expect(quoted(text) == "\"\(text)\"")
    }
  }

  @Test func quotesAndBackslashesAreEscapedAndLongTextIsCut() {
    #expect(quoted(#"a"b\c"#) == #""a\"b\\c""#)
    #expect(quoted(String(repeating: "x", count: 61)) == "\"\(String(repeating: "x", count: 60))…\"")
  }
}
