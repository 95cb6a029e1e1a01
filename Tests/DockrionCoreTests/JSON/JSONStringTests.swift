import Testing

@testable import DockrionCore

@Suite struct JSONStringTests {
  private func written(_ text: String) -> String {
    var writer = ByteWriter(capacity: 1)
    writer.append(json: text)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// The same, a scalar at a time.
  private func expected(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\u{8}": out += "\\b"
      case "\u{C}": out += "\\f"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20 || [0x85, 0x2028, 0x2029].contains(scalar.value):
        let digits = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }

  // One of each kind that the encoder tells apart, and the neighbours of those that it escapes.
  private static let kinds: [Unicode.Scalar] =
    (0..<0x20).map { Unicode.Scalar(UInt8($0)) }
    + [
      " ", "!", "\"", "#", "[", "\\", "]", "a", "z", "\u{7F}", "\u{80}", "\u{84}", "\u{85}", "\u{86}",
      "\u{A2}", "é",
      "\u{2027}", "\u{2028}", "\u{2029}", "\u{202A}", "\u{20A8}", "\u{2128}", "€", "、", "\u{FEFF}", "😀",
      "\u{10FFFF}",
    ]

  @Test func everyKindOfCharacterIsRightAtEveryPlaceOfEveryLength() {
    for scalar in Self.kinds {
      for length in 0..<36 {
        for place in 0...length {
          var text = String(repeating: "x", count: length)
          text.unicodeScalars.insert(scalar, at: text.unicodeScalars.index(text.startIndex, offsetBy: place))
          #expect(written(text) == expected(text))
        }
      }
    }
  }

  @Test func anyMixtureIsRight() {
    var random = Xorshift(seed: 20)
    for round in 0..<4000 {
      var text = ""
      // Few in most of them, so that words without any are between.
      let every = [1, 2, 5, 20, 60][round % 5]
      for _ in 0..<Int(random.next() % 120) {
        let plain = random.next() % UInt64(every) != 0
        text.unicodeScalars.append(plain ? "p" : Self.kinds[Int(random.next() % UInt64(Self.kinds.count))])
      }
      #expect(written(text) == expected(text))
    }
  }

  @Test func theBytesAroundAreNotTouched() {
    for text in ["", "a", "1234567", "12345678", "\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}", "🎉\n"] {
      var writer = ByteWriter(capacity: 1)
      writer.append("before")
      writer.append(json: text)
      writer.append("after")
      writer.append(json: text)
      #expect(
        String(decoding: writer.bytes, as: UTF8.self) == "before" + expected(text) + "after" + expected(text))
    }
  }
}

/// Numbers that look random and are the same in every run (Marsaglia's xorshift64).
struct Xorshift: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}
