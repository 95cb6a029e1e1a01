/// A JSON object whose members keep the order in which they were written.
///
///     var output: JSONObject = ["text": "Hello"]
///     output["tokens"] = 2
///
/// Names are compared by their bytes: two that Unicode only calls equivalent are two names. Of members with the same
/// name the last one wins, in the place of the first. Equality ignores the order.
public struct JSONObject: @unchecked Sendable {
  struct Member: Sendable {
    var name: String
    var value: JSONValue
  }

  // Nil for no member. It is written to only while this object alone refers to it.
  private var storage: JSONObjectStorage?

  /// A few names are found sooner by looking at each.
  static let indexedFrom = 9

  /// An empty object.
  public init() {}

  /// An object of these members, in this order.
  public init(_ elements: some Sequence<(String, JSONValue)>) {
    for (name, value) in elements { self[name] = value }
  }

  /// An object of one member, which has to be compared with no other.
  init(_ name: String, _ value: JSONValue) {
    let storage = JSONObjectStorage.make(capacity: 1)
    storage.append(Member(name: name, value: value))
    self.storage = storage
  }

  /// An object of one member or more, of which those of the same name become one.
  ///
  /// - Parameter members: are moved out of the memory where they lie.
  @inline(__always)
  init(moving members: UnsafeMutableBufferPointer<Member>) {
    let storage = JSONObjectStorage.make(capacity: members.count)
    if members.count == 1 { storage.take(members) } else { storage.takeUnique(members) }
    self.storage = storage
  }

  /// The member of that name; setting nil removes it.
  public subscript(name: String) -> JSONValue? {
    get { storage.flatMap { storage in storage.place(of: name).map { storage[$0].value } } }
    set {
      let known = storage?.place(of: name)
      if let newValue {
        let storage = writable(room: known == nil ? 1 : 0)
        if let known {
          storage[known].value = newValue
        } else {
          storage.append(Member(name: name, value: newValue))
        }
      } else if let known {
        if count == 1 { storage = nil } else { writable(room: 0).remove(known) }
      }
    }
  }

  /// The storage, its own, with room for so many members more.
  private mutating func writable(room: Int) -> JSONObjectStorage {
    let needed = count + room
    if isKnownUniquelyReferenced(&storage), let storage, needed <= storage.capacityOfMembers {
      return storage
    }
    let own = JSONObjectStorage.make(capacity: room == 0 ? needed : Swift.max(needed, 4, count * 2))
    if let storage { own.copy(storage) }
    storage = own
    return own
  }

  var members: Members { Members(object: self) }

  /// The names, in order.
  public var names: some RandomAccessCollection<String> { members.lazy.map(\.name) }
  /// How many members there are.
  public var count: Int { storage?.count ?? 0 }
  /// True when there is no member.
  public var isEmpty: Bool { storage == nil }

  struct Members: RandomAccessCollection {
    fileprivate let object: JSONObject
    var startIndex: Int { 0 }
    var endIndex: Int { object.count }
    subscript(place: Int) -> Member {
      guard let storage = object.storage, place < storage.count else {
        preconditionFailure("there is no member \(place)")
      }
      return storage[place]
    }
  }
}

extension JSONObject: Hashable {
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.members.allSatisfy { right[$0.name] == $0.value }
  }

  public func hash(into hasher: inout Hasher) { hasher.combine(count) }
}

extension JSONObject: Sequence {
  public func makeIterator() -> some IteratorProtocol<(key: String, value: JSONValue)> {
    members.lazy.map { (key: $0.name, value: $0.value) }.makeIterator()
  }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    if elements.count == 1 { self.init(elements[0].0, elements[0].1) } else { self.init(elements) }
  }
}
