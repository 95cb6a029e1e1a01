import Glibc

/// Names that were read before: objects of one text have the same ones again and again, and a name that is found here
/// is neither checked nor copied.
///
/// One place for each name, which the next one that meets it there takes: nobody gains by names that collide.
struct NameCache: ~Copyable {
  private struct Entry {
    // The first eight bytes, zeros behind a shorter name, and how many it has in all.
    var word: UInt64
    var count: Int
    var name: String
  }

  // Longer names are read anew.
  private static let bytesMax = 64
  private static let places = 32
  // A text of a few names is read sooner without.
  private static let notedFrom = 24

  private var entries: UnsafeMutablePointer<Entry>?
  private var misses = 0

  init() {}

  deinit {
    guard let entries else { return }
    entries.deinitialize(count: Self.places)
    free(entries)
  }

  @inline(__always)
  private static func place(_ word: UInt64, _ count: Int) -> Int {
    Int(truncatingIfNeeded: ((word ^ UInt64(truncatingIfNeeded: count)) &* 0x9E37_79B9_7F4A_7C15) >> 59)
  }

  /// The same name as these bytes, if it is here.
  @inline(__always)
  borrowing func name(_ bytes: UnsafeRawPointer, word: UInt64, count: Int) -> String? {
    guard let entries else { return nil }
    let entry = entries + Self.place(word, count)
    guard entry.pointee.word == word, entry.pointee.count == count else { return nil }
    if count > 8 {
      let isSame = entry.pointee.name.withBytes {
        memcmp($0.baseAddress.unsafelyUnwrapped, bytes, count) == 0
      }
      if !isSame { return nil }
    }
    return entry.pointee.name
  }

  mutating func note(_ name: String, word: UInt64) {
    let count = name.utf8.count
    guard count <= Self.bytesMax else { return }
    misses += 1
    guard misses >= Self.notedFrom else { return }
    let entries = entries ?? make()
    entries[Self.place(word, count)] = Entry(word: word, count: count, name: name)
  }

  private mutating func make() -> UnsafeMutablePointer<Entry> {
    let bytes = Self.places * MemoryLayout<Entry>.stride
    guard let memory = malloc(bytes) else { fatalError("no memory for \(bytes) bytes") }
    let made = memory.bindMemory(to: Entry.self, capacity: Self.places)
    made.initialize(repeating: Entry(word: 0, count: -1, name: ""), count: Self.places)
    entries = made
    return made
  }
}
