import Glibc

/// Where the members of a large object stand: a table of open addresses, two thirds full at most.
///
/// Names are hashed with the process's own seed, so nobody can choose names that meet in one place.
struct NameIndex {
  typealias Members = UnsafeMutablePointer<JSONObject.Member>

  // 0 is free, else a member's place and one.
  private var slots: ContiguousArray<UInt32>

  init(room: Int) {
    var capacity = 16
    while capacity * 2 <= room * 3 { capacity *= 2 }
    slots = ContiguousArray(repeating: 0, count: capacity)
  }

  init(_ members: Members, count: Int) {
    self.init(room: count + 1)
    for place in 0..<count {
      var slot = first(members[place].name)
      while slots[slot] != 0 { slot = next(slot) }
      slots[slot] = UInt32(place + 1)
    }
  }

  private func first(_ name: String) -> Int {
    var hasher = Hasher()
    name.withBytes { hasher.combine(bytes: $0) }
    return hasher.finalize() & (slots.count - 1)
  }

  private func next(_ slot: Int) -> Int { (slot + 1) & (slots.count - 1) }

  func place(of name: String, in members: Members) -> Int? {
    let slot = slot(of: name, in: members)
    return slots[slot] == 0 ? nil : Int(slots[slot]) - 1
  }

  /// The place of a name, or nil when it is new: then it is noted for the member that comes next.
  mutating func place(of name: String, addingTo members: Members, count: Int) -> Int? {
    if (count + 1) * 3 >= slots.count * 2 { grow(members, count) }
    let slot = slot(of: name, in: members)
    guard slots[slot] == 0 else { return Int(slots[slot]) - 1 }
    slots[slot] = UInt32(count + 1)
    return nil
  }

  private mutating func grow(_ members: Members, _ count: Int) {
    let old = slots
    slots = ContiguousArray(repeating: 0, count: old.count * 2)
    for entry in old where entry != 0 {
      var slot = first(members[Int(entry) - 1].name)
      while slots[slot] != 0 { slot = next(slot) }
      slots[slot] = entry
    }
  }

  /// Where a name stands, or the free slot where it would.
  private func slot(of name: String, in members: Members) -> Int {
    var slot = first(name)
    while slots[slot] != 0, !members[Int(slots[slot]) - 1].name.hasSameBytes(as: name) { slot = next(slot) }
    return slot
  }
}

extension String {
  /// Lends the text's UTF-8.
  @inline(__always)
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    if let result = utf8.withContiguousStorageIfAvailable({ body(UnsafeRawBufferPointer($0)) }) {
      return result
    }
    var copy = self
    return copy.withUTF8 { body(UnsafeRawBufferPointer($0)) }
  }

  /// True where the UTF-8 is the same; `==` takes what is canonically equivalent for the same.
  @inline(__always)
  func hasSameBytes(as other: String) -> Bool {
    guard utf8.count == other.utf8.count else { return false }
    return withBytes { left in
      other.withBytes { right in
        guard let left = left.baseAddress, let right = right.baseAddress else { return true }
        return memcmp(left, right, other.utf8.count) == 0
      }
    }
  }
}
