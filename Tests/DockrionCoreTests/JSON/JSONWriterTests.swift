import Foundation
import Testing

@testable import DockrionCore

@Suite struct JSONWriterTests {
  private func text(_ value: JSONValue) throws -> String {
    var writer = ByteWriter(capacity: 1)
    try writer.append(json: value)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  @Test func everyScalarReadsBackTheSame() throws {
    for plane in [0...0xD7FF, 0xE000...0x2FFFF, 0xE0000...0xE01FF, 0x10FF00...0x10FFFF] {
      var string = ""
      for code in plane { if let scalar = Unicode.Scalar(code) { string.unicodeScalars.append(scalar) } }
      let json = try text(.string(string))
      let back =
        try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed) as? String
      #expect(back.map { Array($0.unicodeScalars) } == Array(string.unicodeScalars))
    }
  }

  @Test(arguments: [
    "\n", "\r", "\r\n", "\u{0B}", "\u{0C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}",
    "\0",
  ])
  func noLineBreakOfAnyKindGetsThrough(_ separator: String) throws {
    for padding in 0..<40 {
      let filler = String(repeating: "é", count: padding)
      let json = try text(.string(filler + separator + filler))
      #expect(json.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count == 1)
      #expect(!json.unicodeScalars.contains { $0.value < 0x20 || [0x85, 0x2028, 0x2029].contains($0.value) })
      let back =
        try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed) as? String
      #expect(back == filler + separator + filler)
    }
  }

  @Test func escapesAreTheShortOnes() throws {
    #expect(try text("\"\\\u{8}\u{C}\n\r\t\u{1F}/") == #""\"\\\b\f\n\r\t\u001f/""#)
    #expect(try text("\u{2028}\u{2029}\u{85}") == #""\u2028\u2029\u0085""#)
    #expect(try text("\u{2027}\u{202A}\u{84}\u{86}â") == "\"\u{2027}\u{202A}\u{84}\u{86}â\"")
  }

  @Test(arguments: [0, 1, -1, 9, 10, 99, 100, 12345, Int.max, Int.min, 999_999_999_999_999_999])
  func integersAreExact(_ number: Int) throws {
    #expect(try text(.int(Int64(number))) == "\(number)")
  }

  @Test(arguments: [0, 1, 15, 16, 255, 256, 4095, 65_536, Int.max])
  func hexadecimalIsWhatTheLibrarySays(_ number: Int) {
    var writer = ByteWriter()
    writer.append(hexadecimal: number)
    #expect(String(decoding: writer.bytes, as: UTF8.self) == String(number, radix: 16))
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity])
  func aNumberThatIsNotFiniteIsAnErrorThatNamesIt(_ number: Double) {
    #expect {
      try text(["scores": [1, ["worst": .double(number)]]])
    } throws: {
      "\($0)".hasPrefix("value.scores[1].worst: ") && "\($0)".contains("has no JSON form")
    }
  }

  @Test(arguments: [0.1, 1e300, -2.5e-8, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 100, -0.0])
  func finiteNumbersReadBackTheSame(_ number: Double) throws {
    #expect(Double(try text(.double(number))) == number)
  }

  @Test func membersKeepTheirOrder() throws {
    #expect(try text(["z": 1, "a": [nil, true], "m": [:]]) == #"{"z":1,"a":[null,true],"m":{}}"#)
  }

  @Test func timestampsAreRFC3339() throws {
    let formatter = ISO8601DateFormatter()
    formatter.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
    for seconds in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_735_689_599, 4_107_542_400] {
      var writer = ByteWriter()
      writer.append(timestamp: Int64(seconds) * 1_000_000_000 + 120_999_999)
      let wanted = formatter.string(from: Date(timeIntervalSince1970: Double(seconds) + 0.1202))
      #expect(String(decoding: writer.bytes, as: UTF8.self) == wanted)
    }
  }
}

@Suite struct JSONParserTests {
  @Test func valuesKeepTheirKinds() throws {
    let object = try JSONObject(
      parsing: #"{"b":true,"f":false,"n":null,"i":1,"z":0,"d":1.5,"big":9223372036854775807,"s":"x","a":[1]}"#
    )
    #expect(object["b"] == true)
    #expect(object["f"] == false)
    #expect(object["n"] == .null)
    #expect(object["i"] == .int(1))
    #expect(object["z"] == .int(0))
    #expect(object["d"] == .double(1.5))
    #expect(object["big"] == .int(.max))
    #expect(object["s"] == "x")
    #expect(object["a"] == [1])
  }

  @Test(arguments: [
    "", "[]", "1", #"{"a":1,}"#, "{\"a\":[1 , ]}", "nul", "{", #"{"a"}"#, #"{"a":1} x"#, #"{"a":NaN}"#,
  ])
  func whatIsNoObjectIsAnError(_ text: String) {
    #expect(throws: JSONParseError.self) { try JSONObject(parsing: text) }
  }

  @Test func commasInsideTextAreNoTrailingCommas() throws {
    for text in [#"{"a":",}"}"#, #"{"a":"\\",",]":[1,"]"]}"#, #"{"a":"\",}"}"#, #"{",":{},"b":[[],[]]}"#] {
      #expect(throws: Never.self) { try JSONObject(parsing: text) }
    }
  }

  @Test func deepNestingIsAnErrorAndNoCrash() {
    for text in [
      String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 100_000),
      "{\"a\":" + String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000) + "}",
    ] {
      #expect(throws: JSONParseError.self) { try JSONObject(parsing: text) }
    }
  }

  @Test func otherEncodingsAreRefused() throws {
    for encoding in [String.Encoding.utf16LittleEndian, .utf16, .utf32BigEndian] {
      let data = try #require(#"{"a":1}"#.data(using: encoding))
      #expect(throws: JSONParseError.self) {
        try data.withUnsafeBytes { (bytes) throws(JSONParseError) in try JSONObject(parsing: bytes) }
      }
    }
    #expect(throws: JSONParseError.self) {
      let bytes: [UInt8] = Array(#"{"a":""#.utf8) + [0xFF] + Array(#""}"#.utf8)
      _ = try bytes.withUnsafeBytes { try JSONObject(parsing: $0) }
    }
  }
}
