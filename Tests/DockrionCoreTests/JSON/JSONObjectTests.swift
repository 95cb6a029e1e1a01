import Testing

@testable import DockrionCore

@Suite struct JSONObjectTests {
  @Test func namesAreComparedByTheirBytes() throws {
    let composed = "caf\u{E9}"
    let decomposed = "cafe\u{301}"
    #expect(composed == decomposed)
    for others in [0, 20] {
      var object = JSONObject((0..<others).map { ("\($0)", .int(0)) })
      object[composed] = 1
      object[decomposed] = 2
      #expect(object.count == others + 2)
      #expect(object[composed] == 1)
      #expect(object[decomposed] == 2)
      object[composed] = nil
      #expect(object[composed] == nil)
      #expect(object[decomposed] == 2)
    }
    let parsed = try JSONObject(parsing: #"{"caf\#u{E9}":1,"cafe\#u{301}":2}"#)
    #expect(parsed.count == 2)
    #expect(parsed[decomposed] == 2)
    #expect(parsed != [composed: 1, "cafe": 2])
  }

  @Test(arguments: [0, 1, 2, 7, 8, 9, 10, 17, 100, 5000])
  func anObjectOfAnySizeBehavesLikeADictionaryThatKeepsItsOrder(_ size: Int) throws {
    var random = Xorshift(seed: UInt64(size))
    var object = JSONObject()
    var names: [String] = []
    var values: [String: JSONValue] = [:]
    for _ in 0..<size * 2 {
      let name = "n\(random.next() % UInt64(max(1, size)))"
      let value = JSONValue.int(Int64(random.next() % 1000))
      if values[name] == nil { names.append(name) }
      object[name] = value
      values[name] = value
    }
    #expect(Array(object.names) == names)
    #expect(object.count == names.count)
    for name in names { #expect(object[name] == values[name]) }
    #expect(object["missing"] == nil)
    // Written and read it is the same, in the same order.
    var writer = ByteWriter()
    try writer.append(json: object)
    let again = try JSONObject(parsing: writer.bytes)
    #expect(again == object)
    #expect(Array(again.names) == names)
    #expect(JSONObject(object.reversed().map { ($0.key, $0.value) }) == object)
    // A few are taken out.
    let copy = object
    for name in names where random.next() % 10 == 0 && names.count < 200 {
      object[name] = nil
      values[name] = nil
    }
    names = names.filter { values[$0] != nil }
    #expect(Array(object.names) == names)
    for name in names { #expect(object[name] == values[name]) }
    #expect(copy == again)
  }

  @Test func aCopyIsNotChangedWithItsOriginal() {
    var object: JSONObject = ["a": 1, "b": [2]]
    let copy = object
    object["a"] = 5
    object["c"] = 3
    #expect(copy == ["a": 1, "b": [2]])
    #expect(object == ["a": 5, "b": [2], "c": 3])
    object["a"] = nil
    object["b"] = nil
    object["c"] = nil
    #expect(object.isEmpty)
    #expect(object == JSONObject())
    object["z"] = 1
    #expect(object == ["z": 1])
  }

  @Test(arguments: [2, 8, 9, 40])
  func theLastOfDoubledNamesWinsInThePlaceOfTheFirst(_ count: Int) throws {
    let members =
      (0..<count).map { #""m\#($0)":\#($0)"# } + [#""m0":"last""#, #""m1":"one""#, #""m1":"two""#]
    let object = try JSONObject(parsing: "{" + members.joined(separator: ",") + "}")
    #expect(Array(object.names) == (0..<count).map { "m\($0)" })
    #expect(object["m0"] == "last")
    #expect(object["m1"] == "two")
    #expect(object.count == count)
  }

  @Test func aMemberIsASmallPieceOfMemory() {
    // What a body of many small objects becomes is made of these.
    #expect(MemoryLayout<JSONValue>.stride <= 24)
    #expect(MemoryLayout<JSONObject>.size == 8)
    #expect(MemoryLayout<JSONObject.Member>.stride <= 40)
  }
}
