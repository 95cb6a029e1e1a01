import Glibc

/// The two clocks of the system, read through the kernel's user-space page.
public enum Clock {
  /// Nanoseconds of `CLOCK_MONOTONIC`.
  @inline(__always)
  public static func monotonicNanoseconds() -> Int64 { read(CLOCK_MONOTONIC) }

  /// Nanoseconds since 1970 in UTC.
  @inline(__always)
  public static func wallNanoseconds() -> Int64 { read(CLOCK_REALTIME) }

  /// Holds the calling thread; a signal may end it early.
  static func sleepThread(nanoseconds: Int) {
    var time = timespec(tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
    nanosleep(&time, nil)
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }
}

extension ByteWriter {
  /// Writes a moment as RFC 3339 in UTC with milliseconds, such as `2026-01-31T09:05:00.120Z`.
  ///
  /// The calendar arithmetic is Howard Hinnant's `civil_from_days`.
  public mutating func append(timestamp wallNanoseconds: Int64) {
    let milliseconds = wallNanoseconds / 1_000_000
    let seconds = milliseconds / 1000
    let days = seconds / 86_400
    let secondOfDay = Int(seconds % 86_400)

    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let civilMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)

    append(padded: Int(year), 4)
    append(UInt8(ascii: "-"))
    append(padded: Int(civilMonth), 2)
    append(UInt8(ascii: "-"))
    append(padded: Int(day), 2)
    append(UInt8(ascii: "T"))
    append(padded: secondOfDay / 3600, 2)
    append(UInt8(ascii: ":"))
    append(padded: secondOfDay / 60 % 60, 2)
    append(UInt8(ascii: ":"))
    append(padded: secondOfDay % 60, 2)
    append(UInt8(ascii: "."))
    append(padded: Int(milliseconds % 1000), 3)
    append(UInt8(ascii: "Z"))
  }

  private mutating func append(padded value: Int, _ width: Int) {
    var divisor = 1
    for _ in 1..<width { divisor *= 10 }
    while divisor > 0 {
      append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: value / divisor % 10))
      divisor /= 10
    }
  }
}
