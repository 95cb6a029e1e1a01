/// A page in the Prometheus text format 0.0.4, read strictly.
struct Metrics {
  struct Sample {
    var name: String
    var labels: [String: String]
    var value: Double
  }

  private(set) var samples: [Sample] = []
  /// `counter`, `gauge`, `histogram` by family name.
  private(set) var types: [String: String] = [:]
  private(set) var helped: Set<String> = []

  init(text: String) throws {
    guard text.hasSuffix("\n") else { throw ClientError("the last line has no end") }
    for line in text.split(separator: "\n") {
      if line.hasPrefix("# TYPE ") {
        let words = line.split(separator: " ")
        guard words.count == 4, ["counter", "gauge", "histogram"].contains(words[3]) else {
          throw ClientError("not a type: \(line)")
        }
        let added = types.updateValue(String(words[3]), forKey: String(words[2])) == nil
        guard added else { throw ClientError("a second type: \(line)") }
      } else if line.hasPrefix("# HELP ") {
        helped.insert(String(line.split(separator: " ")[2]))
      } else {
        samples.append(try Self.sample(line))
      }
    }
    let identities = samples.map { "\($0.name) \($0.labels.sorted { $0.key < $1.key })" }
    guard Set(identities).count == identities.count else { throw ClientError("a sample stands there twice") }
    if let orphan = samples.first(where: { types[family(of: $0.name)] == nil }) {
      throw ClientError("no type for \(orphan.name)")
    }
  }

  /// The sum of a metric's samples that carry these labels; 0 when there is none.
  func sum(_ name: String, _ labels: [String: String] = [:]) -> Double {
    samples.filter { sample in
      sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
    }.reduce(0) { $0 + $1.value }
  }

  func labelNames(_ name: String) -> Set<String> {
    Set(samples.filter { $0.name == name }.flatMap(\.labels.keys))
  }

  func family(of name: String) -> String {
    for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
      let family = String(name.dropLast(suffix.count))
      if types[family] == "histogram" { return family }
    }
    return name
  }

  private static func sample(_ line: Substring) throws -> Sample {
    let form = /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="[^"\\]*",?)*)\})? (\S+)/
    guard let match = line.wholeMatch(of: form) else { throw ClientError("no sample: \(line)") }
    let value: Double? = match.3 == "+Inf" ? .infinity : Double(match.3)
    guard let value else { throw ClientError("no number: \(line)") }
    var labels: [String: String] = [:]
    for label in (match.2 ?? "").matches(of: /([a-zA-Z0-9_]+)="([^"]*)"/) {
      labels[String(label.1)] = String(label.2)
    }
    return Sample(name: String(match.1), labels: labels, value: value)
  }
}
