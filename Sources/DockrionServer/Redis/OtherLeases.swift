/// What this instance believes of the leases of the others. A pure value; times are in nanoseconds of the monotonic
/// clock.
///
/// A lease lives for three quarters of `lease_seconds` in Redis and is renewed every three tenths, a tenth later at
/// most. What is left is the margin: an answer that took longer tells of a Redis that others could not reach in time
/// either, and then nobody is judged for the length of a lease.
///
///     var others = OtherLeases(leaseNanoseconds: lease)
///     others.asked                                  // whose leases the next look asks for
///     others.looked(began: t0, now: t1, instances: […], standing: […])   // .lost(["…"]) in the second such look
struct OtherLeases {
  enum Finding: Equatable {
    /// The answer took longer than the margin; true the first time in a row.
    case slow(isNews: Bool)
    /// Instances without a lease in two looks that followed each other.
    case lost([String])
  }

  let leaseNanoseconds: Int64
  /// Whose leases are asked for: the instances of the last look.
  private(set) var asked: Set<String> = []
  private(set) var mayJudgeAt = Int64.max
  private var suspects: Set<String> = []
  private var isSlow = false

  init(leaseNanoseconds: Int64) { self.leaseNanoseconds = leaseNanoseconds }

  /// How long a lease lives in Redis.
  var lifetimeNanoseconds: Int64 { leaseNanoseconds * 3 / 4 }
  /// How much later than it should a renewal may arrive.
  var marginNanoseconds: Int64 { lifetimeNanoseconds - leaseNanoseconds * 4 / 10 }

  /// Gives all others the time to renew their leases.
  mutating func trust(now: Int64) {
    mayJudgeAt = now + leaseNanoseconds
    suspects = []
  }

  /// Notes how long Redis took for any answer about leases; a finding when that was too long.
  mutating func answered(began: Int64, now: Int64) -> Finding? {
    guard now - began > marginNanoseconds else { return nil }
    trust(now: now)
    defer { isSlow = true }
    return .slow(isNews: !isSlow)
  }

  /// Notes a look.
  ///
  /// - Parameters:
  ///   - instances: those that Redis knows.
  ///   - standing: those of `asked` whose lease stands.
  mutating func looked(began: Int64, now: Int64, instances: Set<String>, standing: Set<String>) -> Finding {
    if let finding = answered(began: began, now: now) { return finding }
    isSlow = false
    let missing = asked.intersection(instances).subtracting(standing)
    let lost = missing.intersection(suspects)
    suspects = missing
    asked = instances
    return .lost(lost.sorted())
  }
}
