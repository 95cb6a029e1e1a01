import Foundation
import Testing

@testable import DockrionCore

@Suite struct JSONCodingTests {
  struct Question: Codable, Equatable {
    enum Kind: String, Codable { case open, closed }
    struct Source: Codable, Equatable {
      var url: URL
      var rank: UInt8
    }
    var text: String
    var tokens: Int?
    var kind: Kind
    var weights: [Double]
    var sources: [String: Source]
    var asked: Date
    var blob: Data
    var id: UUID
    var price: Decimal
    var extra: JSONObject
    var any: JSONValue
    var none: [Int?]
  }

  private static let question = Question(
    text: "Why?", tokens: nil, kind: .closed, weights: [0.5, 2],
    sources: [
      "a": Question.Source(url: URL(string: "https://example.com/x?y=1") ?? URL(filePath: "/"), rank: 255)
    ],
    asked: Date(timeIntervalSince1970: 1_000_000_000.25),
    blob: Data([1, 2, 255]), id: UUID(uuidString: "53014865-635E-4778-B85D-19226126C3CB") ?? UUID(),
    price: 12,
    extra: ["z": 1, "a": [true]], any: .int(.min), none: [1, nil])

  @Test func whatWasEncodedDecodesToTheSame() throws {
    let object = try JSONObject(encoding: Self.question)
    #expect(
      Array(object.names) == [
        "text", "kind", "weights", "sources", "asked", "blob", "id", "price", "extra", "any", "none",
      ])
    #expect(object["asked"] == "2001-09-09T01:46:40.250Z")
    #expect(object["blob"] == "AQL/")
    #expect(object["any"] == .int(.min))
    #expect(object["price"] == 12)
    #expect(object["none"] == [1, nil])
    #expect(object["extra"]?.object.map { Array($0.names) } == ["z", "a"])
    #expect(try object.decode(Question.self) == Self.question)
  }

  @Test func foundationsCodersTakeJSONValuesToo() throws {
    let value: JSONValue = [
      "n": nil, "b": true, "i": .int(.max), "d": 1.5, "s": "x", "a": [1, [:]], "o": ["p": "q"],
    ]
    let data = try JSONEncoder().encode(value)
    #expect(try JSONDecoder().decode(JSONValue.self, from: data) == value)
    #expect(try JSONDecoder().decode(JSONObject.self, from: Data(#"{"a":1}"#.utf8)) == ["a": 1])
  }

  private struct Shape: Decodable {
    struct Inner: Decodable { var count: UInt8 }
    var items: [Inner]
  }

  @Test(
    arguments: [
      (
        ["items": [["count": 1], ["count": 300]]],
        "items.1.count: 300.0 does not fit 0…255, or has a fractional part"
      ),
      (["items": [["count": 1.5]]], "items.0.count: 1.5 does not fit 0…255, or has a fractional part"),
      (["items": [["count": "1"]]], "items.0.count: an integer is needed, not a string"),
      (["items": [["count": nil]]], "items.0.count: an integer is needed, not null"),
      (["items": [[:]]], "items.0: there is no member \"count\""),
      (["items": 5], "items: an array is needed, not a number"),
      (["items": [5]], "items.0: an object is needed, not a number"), ([:], ": there is no member \"items\""),
    ] as [(JSONObject, String)])
  func whatDoesNotFitIsNamedWithItsPath(_ object: JSONObject, _ expected: String) {
    #expect {
      try object.decode(Shape.self)
    } throws: { error in
      switch error as? DecodingError {
      case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
        .dataCorrupted(let context):
        context.codingPath.map(\.stringValue).joined(separator: ".") + ": " + context.debugDescription
          == expected
      default: false
      }
    }
  }

  @Test func whatHasNoJSONFormIsNamedWithItsPath() {
    #expect {
      try JSONObject(encoding: ["a": [1, Double.nan]])
    } throws: { error in
      guard case .invalidValue(_, let context)? = error as? EncodingError else { return false }
      return context.codingPath.map(\.stringValue) == ["a", "1"]
        && context.debugDescription.hasPrefix("nan has no JSON form")
    }
    #expect(throws: EncodingError.self) { try JSONObject(encoding: ["a": UInt64.max]) }
    #expect(throws: EncodingError.self) { try JSONObject(encoding: [1, 2]) }
    #expect(throws: Never.self) { try JSONObject(encoding: [String: Int]()) }
  }

  @Test func classesWithASuperclassAreWholeAgain() throws {
    class Base: Codable { var a = 1 }
    final class Derived: Base {
      enum Keys: CodingKey { case b }
      var b = 2
      override init() { super.init() }
      required init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        b = try container.decode(Int.self, forKey: .b)
        try super.init(from: container.superDecoder())
      }
      override func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(b, forKey: .b)
        try super.encode(to: container.superEncoder())
      }
    }
    let value = Derived()
    (value.a, value.b) = (7, 8)
    let object = try JSONObject(encoding: value)
    #expect(object == ["b": 8, "super": ["a": 7]])
    let back = try object.decode(Derived.self)
    #expect(back.a == 7)
    #expect(back.b == 8)
  }
}
