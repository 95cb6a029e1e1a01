/// The members of an object side by side, behind a head of two words.
///
/// An array of them would take as much memory, and longer to make: "parse a megabyte of small objects" in
/// `benchmarks/micro`.
final class JSONObjectStorage: ManagedBuffer<JSONObjectHead, JSONObject.Member> {
  static func make(capacity: Int) -> JSONObjectStorage {
    let made = create(minimumCapacity: capacity) { _ in JSONObjectHead(count: 0, capacity: UInt32(capacity)) }
    return unsafeDowncast(made, to: JSONObjectStorage.self)
  }

  deinit {
    // A loop: the runtime would look up how to free a member for each of them.
    for place in 0..<count { (start + place).deinitialize(count: 1) }
  }

  // By pointer: a class's property is watched for overlapping access, which costs as much as what is done here.
  private var head: UnsafeMutablePointer<JSONObjectHead> { withUnsafeMutablePointerToHeader { $0 } }

  var count: Int { Int(head.pointee.count) }
  var capacityOfMembers: Int { Int(head.pointee.capacity) }

  private var start: UnsafeMutablePointer<JSONObject.Member> { withUnsafeMutablePointerToElements { $0 } }

  subscript(place: Int) -> JSONObject.Member {
    get { start[place] }
    _modify { yield &start[place] }
  }

  func place(of name: String) -> Int? {
    if let index = head.pointee.index { return index.place(of: name, in: start) }
    for place in 0..<count where start[place].name.hasSameBytes(as: name) { return place }
    return nil
  }

  /// Adds a member of a name that is new, where there is room.
  func append(_ member: JSONObject.Member) {
    let (start, count) = (start, count)
    if count + 1 == JSONObject.indexedFrom { head.pointee.index = NameIndex(start, count: count) }
    _ = head.pointee.index?.place(of: member.name, addingTo: start, count: count)
    (start + count).initialize(to: member)
    head.pointee.count = UInt32(count + 1)
  }

  func remove(_ place: Int) {
    (start + place).deinitialize(count: 1)
    (start + place).moveInitialize(from: start + place + 1, count: count - place - 1)
    head.pointee.count -= 1
    let index = count < JSONObject.indexedFrom ? nil : NameIndex(start, count: count)
    head.pointee.index = index
  }

  func copy(_ other: JSONObjectStorage) {
    start.initialize(from: other.start, count: other.count)
    head.pointee.count = other.head.pointee.count
    head.pointee.index = other.head.pointee.index
  }

  /// Moves members here whose names differ.
  @inline(__always)
  func take(_ members: UnsafeMutableBufferPointer<JSONObject.Member>) {
    // A loop: they are few, and a call costs more than moving them.
    for at in 0..<members.count {
      (start + at).initialize(to: (members.baseAddress.unsafelyUnwrapped + at).move())
    }
    head.pointee.count = UInt32(members.count)
  }

  /// Moves members here, the last of each name to the place of its first.
  func takeUnique(_ members: UnsafeMutableBufferPointer<JSONObject.Member>) {
    if members.count < JSONObject.indexedFrom, members.haveUniqueNames { return take(members) }
    guard let base = members.baseAddress else { return }
    var index = NameIndex(room: members.count)
    var count = 0
    for at in 0..<members.count {
      if let known = index.place(of: base[at].name, addingTo: start, count: count) {
        start[known].value = (base + at).move().value
      } else {
        (start + count).moveInitialize(from: base + at, count: 1)
        count += 1
      }
    }
    head.pointee.count = UInt32(count)
    head.pointee.index = count < JSONObject.indexedFrom ? nil : index
  }
}

extension UnsafeMutableBufferPointer<JSONObject.Member> {
  fileprivate var haveUniqueNames: Bool {
    for at in 1..<count {
      for before in 0..<at where self[before].name.hasSameBytes(as: self[at].name) { return false }
    }
    return true
  }
}

struct JSONObjectHead {
  var count: UInt32
  var capacity: UInt32
  var index: NameIndex?
}
