import Yams

/// Lets the reading of a file with duplicate keys go on, so that its other errors are found too.
///
/// Yams stops at a duplicate. The first of the two keys is renamed in the text with a private-use
/// character in front, the text is parsed again, and the tree then shows where both stand.
struct DuplicateKeyRepairs {
  private static let marker: Unicode.Scalar = "\u{E000}"
  /// Each renaming parses the file once more.
  private static let renamesMax = 16

  private var renames: [ConfigPlace] = []

  /// The text with the key at that place renamed, or nil where that cannot help: too many duplicates, or
  /// a key that is not written out there, such as an alias.
  mutating func rename(_ key: String, at place: ConfigPlace, in text: String) -> String? {
    guard renames.count < Self.renamesMax else { return nil }
    var scalars = text.unicodeScalars
    var index = scalars.startIndex
    for _ in 1..<place.line {
      guard let newline = scalars[index...].firstIndex(of: "\n") else { return nil }
      index = scalars.index(after: newline)
    }
    guard var index = scalars.index(index, offsetBy: place.column - 1, limitedBy: scalars.endIndex) else {
      return nil
    }
    var column = place.column
    if scalars[index...].first == "\"" || scalars[index...].first == "'" {
      index = scalars.index(after: index)
      column += 1
    }
    guard let first = key.unicodeScalars.first, scalars[index...].first == first else { return nil }
    renames.append(ConfigPlace(line: place.line, column: column))
    scalars.insert(contentsOf: repeatElement(Self.marker, count: renames.count), at: index)
    return String(scalars)
  }

  /// Where a node stands in the file as it was before anything was renamed.
  func place(of mark: Mark?) -> ConfigPlace {
    guard let mark else { return ConfigPlace(line: 1, column: 1) }
    var place = ConfigPlace(mark)
    for (index, rename) in renames.enumerated().reversed()
    where rename.line == place.line && rename.column < place.column {
      place.column -= index + 1
    }
    return place
  }

  /// The key as it was written and its place; for one that was renamed, also its twin's place.
  func original(
    _ scalar: Node.Scalar, among mapping: Node.Mapping
  ) -> (key: String, place: ConfigPlace, twin: ConfigPlace?) {
    let place = place(of: scalar.mark)
    let markers = scalar.string.unicodeScalars.prefix { $0 == Self.marker }.count
    guard !renames.isEmpty, markers > 0 else { return (scalar.string, place, nil) }
    let key = String(String.UnicodeScalarView(scalar.string.unicodeScalars.dropFirst(markers)))
    let twin = mapping.keys.first { other in
      guard let other = other.scalar, other.string != scalar.string else { return false }
      let otherPlace = self.place(of: other.mark)
      return (otherPlace.line, otherPlace.column) > (place.line, place.column)
        && other.string.unicodeScalars.drop { $0 == Self.marker }.elementsEqual(key.unicodeScalars)
    }
    return twin.map { (key, place, self.place(of: $0.mark)) } ?? (scalar.string, place, nil)
  }
}
