/// The known key that is closest to a misspelled one, or nil when none is close.
///
/// A swap of neighbours counts as one edit, like a letter put in, left out or changed.
package func nearestKey(to word: String, among known: [String]) -> String? {
  // A long text is no misspelling, and the table below would be as long.
  guard word.utf8.count <= 64 else { return nil }
  let letters = Array(word.lowercased().utf8)
  var best: (key: String, distance: Int)?
  for key in known {
    let distance = editDistance(letters, Array(key.utf8))
    let allowed = max(1, min(letters.count, key.utf8.count) / 3)
    if distance <= allowed, distance < best?.distance ?? .max { best = (key, distance) }
  }
  return best?.key
}

func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
  var older: [Int] = []
  var previous = Array(0...right.count)
  for i in left.indices {
    var current = [i + 1]
    current.reserveCapacity(right.count + 1)
    for j in right.indices {
      var cost = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (left[i] == right[j] ? 0 : 1))
      if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] { cost = min(cost, older[j - 1] + 1) }
      current.append(cost)
    }
    (older, previous) = (previous, current)
  }
  return previous[right.count]
}
