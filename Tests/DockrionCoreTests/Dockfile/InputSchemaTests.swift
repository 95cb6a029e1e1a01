import Testing

@testable import DockrionCore

@Suite struct InputSchemaTests {
  private func violation(_ schema: JSONObject, _ payload: JSONObject) throws -> String? {
    try InputSchema(schema).check(payload)?.description
  }

  private func issues(_ schema: JSONObject) -> [String] {
    do throws(InputSchemaError) {
      _ = try InputSchema(schema)
      return []
    } catch {
      return error.issues.map(\.description)
    }
  }

  @Test func textsThatDifferInNormalFormAreTwo() throws {
    for schema in [["const": "\u{e9}"], ["enum": ["\u{e9}"]], ["enum": [["\u{e9}"]]]] as [JSONObject] {
      let isList = schema["enum"]?.array?.first?.array != nil
      func payload(_ text: String) -> JSONObject { ["v": isList ? [.string(text)] : .string(text)] }
      #expect(try violation(["properties": ["v": .object(schema)]], payload("\u{e9}")) == nil)
      #expect(try violation(["properties": ["v": .object(schema)]], payload("e\u{301}")) != nil, "\(schema)")
    }
  }

  @Test func anEmptySchemaTakesEverything() throws {
    #expect(try violation([:], [:]) == nil)
    #expect(try violation(["type": "object"], ["a": [1, nil]]) == nil)
  }

  static let values: [(type: String, value: JSONValue)] = [
    ("null", nil), ("boolean", true), ("integer", 1), ("number", 1.5), ("string", "x"), ("array", [1]),
    ("object", ["a": 1]),
  ]

  @Test func eachTypeTakesItsOwnValuesOnly() throws {
    for (type, _) in Self.values {
      for (other, value) in Self.values {
        let fits = type == other || (type == "number" && other == "integer")
        let schema: JSONObject = ["properties": ["v": ["type": .string(type)]]]
        #expect((try violation(schema, ["v": value]) == nil) == fits, "\(type) \(other)")
      }
    }
  }

  @Test func aNumberWithoutAFractionIsAnInteger() throws {
    let schema: JSONObject = ["properties": ["n": ["type": "integer"]]]
    #expect(try violation(schema, ["n": 1.0]) == nil)
    #expect(try violation(schema, ["n": 1e300]) == nil)
    #expect(try violation(schema, ["n": 1.5]) == "/n: 1.5 is not an integer")
    #expect(try violation(schema, ["n": true]) == "/n: true is not an integer")
  }

  @Test func severalTypesAreAChoice() throws {
    let schema: JSONObject = ["properties": ["v": ["type": ["string", "null"]]]]
    #expect(try violation(schema, ["v": nil]) == nil)
    #expect(try violation(schema, ["v": "x"]) == nil)
    #expect(try violation(schema, ["v": 5]) == "/v: 5 is not a string or null")
    #expect(try violation(schema, ["v": [1]]) == "/v: an array is not a string or null")
  }

  @Test func requiredMembersMustBeThere() throws {
    let schema: JSONObject = ["required": ["text"], "properties": ["in": ["required": ["a", "b"]]]]
    #expect(try violation(schema, [:]) == "/text: it is required")
    #expect(try violation(schema, ["text": nil]) == nil)
    #expect(try violation(schema, ["text": 1, "in": ["a": 1]]) == "/in/b: it is required")
    #expect(try violation(schema, ["text": 1, "in": 5]) == nil)
  }

  @Test func nestedValuesHaveAPointer() throws {
    let item: JSONValue = ["type": "object", "properties": ["type": ["enum": ["token", "step", 1, nil]]]]
    let schema: JSONObject = [
      "properties": ["emit": ["type": "array", "items": item], "a/b~c": ["type": "null"]]
    ]
    #expect(try violation(schema, ["emit": []]) == nil)
    #expect(try violation(schema, ["emit": [["type": "step"], ["type": 1.0], ["type": nil]]]) == nil)
    #expect(
      try violation(schema, ["emit": [["type": "token"], ["type": "x"]]])
        == "/emit/1/type: \"x\" is not one of \"token\", \"step\", 1, null")
    #expect(try violation(schema, ["emit": [5]]) == "/emit/0: 5 is not an object")
    #expect(try violation(schema, ["a/b~c": [:]]) == "/a~1b~0c: {} is not null")
    let found = try InputSchema(schema).check(["emit": [5]])
    #expect(found?.pointer == "/emit/0" && found?.message == "5 is not an object")
  }

  @Test func constAndEnumCompareLikeJSONSchema() throws {
    let schema: JSONObject = ["properties": ["v": ["const": ["a": [1, 2.0]]]]]
    #expect(try violation(schema, ["v": ["a": [1.0, 2]]]) == nil)
    #expect(try violation(schema, ["v": ["a": [1, 3]]]) == "/v: an object is not an object")
    #expect(try violation(["properties": ["v": ["const": 5]]], ["v": "5"]) == "/v: \"5\" is not 5")
    #expect(try violation(["properties": ["v": ["const": nil]]], ["v": false]) == "/v: false is not null")
    #expect(try violation(["enum": [["a": 1]]], ["a": 1.0]) == nil)
    #expect(try violation(["enum": [["a": 1]]], ["a": 2]) == "an object is not one of an object")
    let many: JSONValue = .array((0..<20).map { .int($0) })
    #expect(
      try violation(["properties": ["v": ["enum": many]]], ["v": 99])
        == "/v: 99 is not one of 0, 1, 2, 3, 4, 5, 6, 7, …")
  }

  @Test func longValuesAreCut() throws {
    let long = String(repeating: "y", count: 61)
    let message = try violation(["properties": ["v": ["type": "null"]]], ["v": .string(long)])
    #expect(message == "/v: \"\(long.dropLast())…\" is not null")
    let exact = try violation(
      ["properties": ["v": ["type": "null"]]], ["v": .string(String(long.dropLast()))])
    #expect(exact == "/v: \"\(long.dropLast())\" is not null")
  }

  @Test func otherKeywordsAreListedAndAnnotationsAreNot() throws {
    let schema = try InputSchema([
      "$schema": "s", "title": "t", "description": "d", "additionalProperties": false,
      "properties": ["a/b": ["type": "string", "minLength": 3, "default": "x", "examples": []]],
    ])
    #expect(schema.unenforced == ["/additionalProperties", "/properties/a~1b/minLength"])
    #expect(schema.check(["a/b": "x", "other": 1]) == nil)
    #expect(schema.document.object?["title"] == "t")
  }

  @Test func aWrongSchemaNamesAllThatIsWrong() {
    #expect(
      issues([
        "type": "array",
        "properties": ["a": ["type": "strng"], "b": 5, "c": ["enum": []], "d": ["items": []]],
        "required": "a",
      ]) == [
        "/type: the type of a payload is object",
        "/properties/a/type: \"strng\" is no type; use object, array, string, integer, number, boolean, null; "
          + "did you mean string?",
        "/properties/b: a schema is needed, a mapping such as {type: string}",
        "/properties/c/enum: a list of at least one value is needed",
        "/properties/d/items: a schema is needed, a mapping such as {type: string}",
        "/required: a list of names is needed",
      ])
    #expect(issues(["type": ["object"]]) == [])
    #expect(issues(["properties": []]) == ["/properties: a mapping of names to schemas is needed"])
    #expect(issues(["required": ["a", 5]]) == ["/required/1: a name is needed; put it in quotes"])
    #expect(issues(["properties": ["a": ["type": []]]]).count == 1)
    #expect(issues(["properties": ["a": ["type": [nil]]]]).first?.contains("(\"null\" in quotes)") == true)
  }

  @Test func schemasAreNestedToABound() throws {
    func nested(_ levels: Int) -> JSONObject {
      var schema: JSONObject = ["type": "object"]
      for _ in 0..<levels { schema = ["properties": ["a": .object(schema)]] }
      return schema
    }
    #expect(issues(nested(64)) == [])
    #expect(issues(nested(65)).map { $0.hasSuffix("schemas are nested deeper than 64") } == [true])
    var value: JSONValue = 1
    for _ in 0..<64 { value = [value] }
    #expect(issues(["const": value]) == ["/const: the value is nested deeper than 64"])
    // A payload that is deeper than its schema is not followed.
    for _ in 0..<400 { value = [value] }
    #expect(try violation(["properties": ["v": ["items": [:]]]], ["v": value]) == nil)
  }

  @Test func theDockfileReportsSchemasWithTheirLines() throws {
    let yaml = """
      io_schema:
        input:
          type: object
          properties:
            text: {type: strng}
            n:
              minLength: 5
      """
    #expect(
      sectionErrors(yaml) == [
        "D:6:20: io_schema.input.properties.text.type: \"strng\" is no type; "
          + "use object, array, string, integer, number, boolean, null; did you mean string?"
      ])
    let dockfile = try readSection(yaml.replacing("strng", with: "string"))
    #expect(
      dockfile.warnings.map(\.description)
        == ["D:8:20: io_schema.input.properties.n.minLength: this keyword is not enforced"])
    #expect(dockfile.inputSchema?.check(["text": 5])?.description == "/text: 5 is not a string")
    #expect(sectionErrors("io_schema: {input: [a]}").first?.contains("a JSON Schema is needed") == true)
    #expect(
      try readSection("io_schema: {output: {type: object, x: 1}}").outputSchema == ["type": "object", "x": 1])
    #expect(sectionErrors("io_schema: {input: {type: array}}").count == 1)
  }
}
