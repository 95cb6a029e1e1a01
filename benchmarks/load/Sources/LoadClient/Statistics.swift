/// What a set of measured values says.
public struct Summary: Sendable, Equatable {
  public var count: Int
  public var minimum: Double
  public var median: Double
  public var p90: Double
  public var p99: Double
  public var p999: Double
  public var maximum: Double
  public var mean: Double

  /// Nil of no values.
  public init?(_ values: [Double]) {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    count = sorted.count
    minimum = sorted[0]
    maximum = sorted[sorted.count - 1]
    mean = sorted.reduce(0, +) / Double(sorted.count)
    median = Summary.quantile(0.5, sorted)
    p90 = Summary.quantile(0.9, sorted)
    p99 = Summary.quantile(0.99, sorted)
    p999 = Summary.quantile(0.999, sorted)
  }

  /// The smallest value that at least that share of all values does not exceed (nearest rank).
  static func quantile(_ share: Double, _ sorted: [Double]) -> Double {
    let rank = (share * Double(sorted.count)).rounded(.up)
    return sorted[min(sorted.count, max(1, Int(rank))) - 1]
  }
}
