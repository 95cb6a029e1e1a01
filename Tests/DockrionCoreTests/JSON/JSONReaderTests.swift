import Foundation
import Testing

@testable import DockrionCore

@Suite struct JSONReaderTests {
  private func read(_ bytes: [UInt8]) throws(JSONParseError) -> JSONValue {
    let read = bytes.withUnsafeBytes { bytes in
      Result { () throws(JSONParseError) in try JSONValue(parsing: bytes) }
    }
    return try read.get()
  }

  private func read(_ text: String) throws(JSONParseError) -> JSONValue { try read(Array(text.utf8)) }

  static let accepted: [(String, JSONValue)] = [
    ("null", nil), (" true\n", true), ("\tfalse\r", false), ("0", 0), ("-0", 0), ("-1", -1), ("12", 12),
    ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
    ("9007199254740993", .int(9_007_199_254_740_993)),
    ("9223372036854775808", .double(9_223_372_036_854_775_808)),
    ("-9223372036854775809", .double(-9_223_372_036_854_775_808)),
    ("123456789012345678901234567890", .double(1.2345678901234568e29)),
    ("1.0", .double(1)), ("1e2", .double(100)), ("1E+2", .double(100)), ("25e-1", .double(2.5)),
    ("0e0", .double(0)),
    ("0.1", .double(0.1)), ("1.7976931348623157e308", .double(.greatestFiniteMagnitude)),
    ("5e-324", .double(.leastNonzeroMagnitude)), ("1e-400", .double(0)), ("0e99999", .double(0)),
    ("2.2250738585072011e-308", .double(Double(bitPattern: 0x000F_FFFF_FFFF_FFFF))),
    ("9007199254740993e0", .double(9_007_199_254_740_992)),
    ("8.41e22", .double(8.41e22)), ("123456789.123456789", .double(123456789.123456789)),
    (#""""#, ""), (#""a""#, "a"), (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"),
    (#""\u0041\u00e9\u20AC\uD83D\uDE00\u0000""#, "Aé€😀\0"),
    ("\"\u{7F}\u{80}\u{2028}\u{FEFF}\"", "\u{7F}\u{80}\u{2028}\u{FEFF}"),
    ("\"exactly sixteen!\"", "exactly sixteen!"), (#""1234567\n""#, "1234567\n"),
    ("[]", []), ("[ ]", []), ("[1 , [ 2 ] ,{ } ]", [1, [2], [:]]), ("{}", [:]),
    (#" { "a" : 1 , "b" : { "c" : [ ] } } "#, ["a": 1, "b": ["c": []]]), (#"{"":0}"#, ["": 0]),
    (#"{"a":1,"b":2,"a":3}"#, ["a": 3, "b": 2]), (#"{"a":{"a":1,"a":2},"a":[{"a":1}]}"#, ["a": [["a": 1]]]),
  ]

  @Test func whatIsJSONIsRead() throws {
    for (text, value) in Self.accepted { #expect(try read(text) == value, "\(text)") }
  }

  static let refused: [(String, String)] = [
    ("", "it is empty"), (" ", "line 1, column 2: a value is needed, not the end"),
    ("nul", "line 1, column 1: a value is needed, not \"n\""),
    ("nullx", "line 1, column 5: the end is needed, not \"x\""),
    ("True", "line 1, column 1: a value is needed, not \"T\""),
    ("1 2", "line 1, column 3: the end is needed, not \"2\""),
    ("01", "line 1, column 1: a number does not begin with a needless 0"),
    ("-01", "line 1, column 2: a number does not begin with a needless 0"),
    ("-", "line 1, column 2: a digit is needed, not the end"),
    ("+1", "line 1, column 1: a value is needed, not \"+\""),
    (".5", "line 1, column 1: a value is needed, not \".\""),
    ("1.", "line 1, column 3: a digit is needed, not the end"),
    ("1.e1", "line 1, column 3: a digit is needed, not \"e\""),
    ("1e", "line 1, column 3: a digit is needed, not the end"),
    ("1e+", "line 1, column 4: a digit is needed, not the end"),
    ("0x1", "line 1, column 2: the end is needed, not \"x\""),
    ("1e400", "line 1, column 1: the number is beyond what fits 64 bits"),
    ("[-1e999]", "line 1, column 2: the number is beyond what fits 64 bits"),
    ("NaN", "line 1, column 1: a value is needed, not \"N\""),
    ("Infinity", "line 1, column 1: a value is needed, not \"I\""),
    ("[1,]", "line 1, column 4: a value is needed, not \"]\""),
    ("[,1]", "line 1, column 2: a value is needed, not \",\""),
    ("[1", "line 1, column 3: a comma or ] is needed, not the end"),
    ("[1 2]", "line 1, column 4: a comma or ] is needed, not \"2\""),
    ("[1}", "line 1, column 3: a comma or ] is needed, not \"}\""),
    ("]", "line 1, column 1: a value is needed, not \"]\""),
    (#"{"a":1,}"#, "line 1, column 8: a name in quotation marks is needed, not \"}\""),
    ("{a:1}", "line 1, column 2: a name in quotation marks is needed, not \"a\""),
    ("{'a':1}", "line 1, column 2: a name in quotation marks is needed, not \"'\""),
    (#"{"a"}"#, "line 1, column 5: a colon is needed, not \"}\""),
    (#"{"a":}"#, "line 1, column 6: a value is needed, not \"}\""),
    (#"{"a":1"#, "line 1, column 7: a comma or } is needed, not the end"),
    ("{\n \"é\": 1,\n 2}", "line 3, column 2: a name in quotation marks is needed, not \"2\""),
    (#""a"#, "line 1, column 3: a quotation mark is needed, not the end"),
    (#""a\"#, "line 1, column 4: one of \"\\/bfnrtu behind a backslash is needed, not the end"),
    (#""\x""#, "line 1, column 3: one of \"\\/bfnrtu behind a backslash is needed, not \"x\""),
    (#""\u12G4""#, "line 1, column 6: a hexadecimal digit is needed, not \"G\""),
    (#""\u123"#, "line 1, column 7: a hexadecimal digit is needed, not the end"),
    ("\"\\u１２３４\"", "line 1, column 4: a hexadecimal digit is needed, not the byte 0xEF"),
    ("\"a\nb\"", "line 1, column 3: a control character in a string has to be escaped"),
    ("\"tab\tin a longer text\"", "line 1, column 5: a control character in a string has to be escaped"),
    ("\"\0\"", "line 1, column 2: a control character in a string has to be escaped"),
    ("[1]\0", "line 1, column 4: the end is needed, not the byte 0x0"),
    ("\u{FEFF}{}", "line 1, column 1: a value is needed, not the byte 0xEF"),
    ("[1]\u{A0}", "line 1, column 4: the end is needed, not the byte 0xC2"),
    ("\u{B}1", "line 1, column 1: a value is needed, not the byte 0xB"),
    ("[1] // no", "line 1, column 5: the end is needed, not \"/\""),
  ]

  @Test func whatIsNotIsRefusedWithItsPlace() {
    for (text, message) in Self.refused {
      #expect("\(text)") { try read(text) } throws: { "\($0)" == message }
    }
  }

  @Test(arguments: [
    #""\ud800""#, #""\udc00""#, #""\ud800\ud800""#, #""\udc00\ud800""#, #""\ud800x""#, #""\ud83d\n""#,
  ])
  func halfASurrogatePairIsRefused(_ text: String) {
    #expect { try read(text) } throws: { "\($0)".hasSuffix("half a surrogate pair has no character") }
  }

  @Test(
    arguments: [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
      [0xE2, 0x82],
      [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
      [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF], [0xE2, 0x22, 0x80],
    ] as [[UInt8]])
  func whatIsNoUTF8IsRefused(_ bytes: [UInt8]) {
    for before in ["", "1234567", "12345678", "a longer text before it, é", #"\n"#] {
      for quote in ["\"", "\\t\""] {
        #expect(throws: JSONParseError.self) {
          try read(Array(("\"" + before).utf8) + bytes + Array(quote.utf8))
        }
        #expect(throws: JSONParseError.self) {
          try read(Array(("{\"" + before).utf8) + bytes + Array("\":1}".utf8))
        }
      }
    }
    #expect(throws: JSONParseError.self) { try read(bytes) }
  }

  @Test func levelsAreBoundAndTheirNumberIsExact() throws {
    func nested(_ levels: Int) -> String {
      String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
    }
    #expect(throws: Never.self) { try read(nested(512)) }
    #expect { try read(nested(513)) } throws: {
      "\($0)" == "line 1, column 513: it is nested deeper than 512 levels"
    }
    // What is closed does not count.
    #expect(throws: Never.self) { try read("[" + String(repeating: "{\"a\":[]},", count: 2000) + "0]") }
  }

  @Test func everyPieceOfATextIsAnErrorAndNothingIsReadBehindIt() {
    let text = #"{"a":[1,-2.5e3,"x\u00e9\n",true,null,{"b":{}}],"longer than a word":"😀"}"#
    let bytes = Array(text.utf8)
    for length in 0..<bytes.count {
      // In memory of its own, so that the address sanitizer sees a read behind it.
      #expect(throws: JSONParseError.self) { try read(Array(bytes.prefix(length))) }
    }
  }

  @Test func whatIsReadIsTheSameAsWhatWasWritten() throws {
    var random = Xorshift(seed: 8)
    for _ in 0..<600 {
      let value = randomJSON(&random, levels: 5)
      var writer = ByteWriter()
      try writer.append(json: value)
      #expect(try JSONValue(parsing: writer.bytes) == value)
      var again = ByteWriter()
      try again.append(json: JSONValue(parsing: writer.bytes))
      #expect(again.array() == writer.array())
    }
  }

  @Test func foundationReadsTheSame() throws {
    var random = Xorshift(seed: 9)
    for _ in 0..<300 {
      var writer = ByteWriter()
      try writer.append(json: .array([randomJSON(&random, levels: 4)]))
      var bytes = writer.array()
      // Half of them with a byte or two that do not belong there.
      if random.next() % 2 == 0 {
        for _ in 0...random.next() % 2 {
          let at = Int(random.next() % UInt64(bytes.count))
          bytes[at] = Array("{}[],:\"\\0e-.tx \u{1}".utf8)[Int(random.next() % 16)]
        }
      }
      let theirs =
        try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed) as? NSObject
      guard let ours = try? read(bytes) else {
        // Foundation takes more: commas before a closing bracket, numbers without end.
        continue
      }
      var written = ByteWriter()
      try written.append(json: ours)
      let back =
        try JSONSerialization.jsonObject(with: Data(written.array()), options: .fragmentsAllowed) as? NSObject
      #expect(theirs != nil && theirs == back, "\(String(decoding: bytes, as: UTF8.self))")
    }
  }

  @Test func damagedTextsNeverDoHarm() {
    var random = Xorshift(seed: 10)
    let end = ContinuousClock.now + .seconds(2)
    var readable = 0
    while ContinuousClock.now < end {
      var writer = ByteWriter()
      try? writer.append(json: randomJSON(&random, levels: 4))
      var bytes = writer.array()
      for _ in 0..<random.next() % 4 {
        guard !bytes.isEmpty else { break }
        let at = Int(random.next() % UInt64(bytes.count))
        switch random.next() % 3 {
        case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
        case 1: bytes.remove(at: at)
        default:
          bytes.insert(contentsOf: bytes[at...].prefix(5), at: Int(random.next() % UInt64(bytes.count)))
        }
      }
      if let value = try? read(bytes) {
        readable += 1
        var again = ByteWriter()
        #expect(throws: Never.self) { try again.append(json: value) }
      }
    }
    #expect(readable > 0)
  }

  /// Names that were read before are not read again: they have to be found whatever they have in common.
  @Test func namesThatComeAgainAreKeptApart() throws {
    let names =
      ["", "a", "b", "ab", "a\0", "é", "e\u{301}", "12345678", "123456789", "12345678a", "12345678b"]
      + (0..<40).map { "a common beginning \($0)" }
      + [64, 65].flatMap { length in
        ["x", "y"].map { String(repeating: "x", count: length - 1) + $0 }
      }
    let object = JSONObject(names.enumerated().map { ($1, JSONValue($0)) })
    #expect(object.count == names.count)
    let all = JSONValue.array(Array(repeating: .object(object), count: 50))
    var writer = ByteWriter()
    try writer.append(json: all)
    #expect(try JSONValue(parsing: writer.bytes) == all)
    // The same names, each with its first character as an escape.
    let escaped = #"[{"ab":1},{"\u0061b":2},{"ab":3}]"#
    let many = "[" + Array(repeating: escaped, count: 50).joined(separator: ",") + "]"
    #expect(
      try read(many) == .array(Array(repeating: [["ab": 1], ["ab": 2], ["ab": 3]], count: 50)))
  }

  /// What is large is moved piece by piece, from its end.
  @Test(arguments: [1, 10_922, 10_923, 21_845, 21_846, 32_769, 100_000])
  func aLargeArrayHasItsElementsInOrder(_ count: Int) throws {
    let elements = (0..<count).map { JSONValue("\($0) is longer than what needs no memory") }
    let value: JSONValue = ["before", .array(elements), "behind", .array(elements)]
    var writer = ByteWriter()
    try writer.append(json: value)
    #expect(try JSONValue(parsing: writer.bytes) == value)
    // One that is broken off frees what it has.
    #expect(throws: JSONParseError.self) { try read(Array(writer.bytes.dropLast())) }
  }

  @Test func memoryIsCountedAboutAsItIsTaken() throws {
    let text = "{\"x\":[" + Array(repeating: #"{"a":1}"#, count: 1000).joined(separator: ",") + "]}"
    var bytes = 0
    _ = try Array(text.utf8).withUnsafeBytes { try JSONObject(parsing: $0, memoryBytes: &bytes) }
    #expect((96_000...112_000).contains(bytes))
    #expect(bytes <= 16 * text.utf8.count)
    bytes = 0
    let small = "{\"x\":[" + Array(repeating: "[1]", count: 1000).joined(separator: ",") + "]}"
    _ = try Array(small.utf8).withUnsafeBytes { try JSONObject(parsing: $0, memoryBytes: &bytes) }
    #expect(
      bytes == 80 + 32 + 1000 * (24 + 64), "an array of one value takes 56 bytes, of which 64 are taken")
    bytes = 0
    let long = "{\"x\":\"\(String(repeating: "y", count: 10_000))\"}"
    _ = try Array(long.utf8).withUnsafeBytes { try JSONObject(parsing: $0, memoryBytes: &bytes) }
    #expect((10_000...10_200).contains(bytes))
  }
}

/// Any value, with names that meet now and then.
private func randomJSON(_ random: inout Xorshift, levels: Int) -> JSONValue {
  func text() -> String {
    let pieces = ["a", "key", "\"", "\\", "\n", "é", "日本", "😀", "\u{2028}", " ", "exactly sixteen!", "\u{0}"]
    return (0..<random.next() % 5).map { _ in pieces[Int(random.next() % 12)] }.joined()
  }
  switch random.next() % (levels > 0 ? 9 : 7) {
  case 0: return .null
  case 1: return .bool(random.next() % 2 == 0)
  case 2: return .int(Int64(truncatingIfNeeded: random.next()) >> Int64(random.next() % 64))
  case 3: return .double(Double(random.next() % 100_000) / 64)
  case 4:
    let number = Double(bitPattern: random.next())
    return .double(number.isFinite ? number : 1)
  case 5, 6: return .string(text())
  case 7: return .array((0..<random.next() % 6).map { _ in randomJSON(&random, levels: levels - 1) })
  default:
    return .object(
      JSONObject((0..<random.next() % 20).map { _ in (text(), randomJSON(&random, levels: levels - 1)) }))
  }
}
