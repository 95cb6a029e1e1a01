import OrderedCollections

/// A JSON object whose members keep the order in which they were written.
///
///     var output: JSONObject = ["text": "Hello"]
///     output["tokens"] = 2
///
/// Of members with the same name the last one wins. Equality ignores the order.
public struct JSONObject: Sendable {
  @usableFromInline var members: OrderedDictionary<String, JSONValue>

  /// An empty object.
  public init() { members = [:] }

  /// An object of these members, in this order.
  public init(_ elements: some Sequence<(String, JSONValue)>) {
    members = OrderedDictionary(elements, uniquingKeysWith: { $1 })
  }

  /// An object of one member, which has to be compared with no other.
  init(_ name: String, _ value: JSONValue) {
    members = OrderedDictionary(
      uncheckedUniqueKeys: CollectionOfOne(name), values: CollectionOfOne(value))
  }

  /// The member of that name; setting nil removes it.
  public subscript(name: String) -> JSONValue? {
    get { members[name] }
    set { members[name] = newValue }
  }

  /// The names, in order.
  public var names: some RandomAccessCollection<String> { members.keys }
  /// How many members there are.
  public var count: Int { members.count }
  /// True when there is no member.
  public var isEmpty: Bool { members.isEmpty }
}

extension JSONObject: Hashable {
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0.key] == $0.value }
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(count) }
}

extension JSONObject: Sequence {
  public func makeIterator() -> some IteratorProtocol<(key: String, value: JSONValue)> {
    members.makeIterator()
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    if elements.count == 1 { self.init(elements[0].0, elements[0].1) } else { self.init(elements) }
  }
}
