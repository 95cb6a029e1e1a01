import Glibc
import Synchronization

/// The two clocks of the system, read through the kernel's user-space page.
public enum Clock {
  /// A second in nanoseconds.
  public static let second: Int64 = 1_000_000_000

  /// Nanoseconds of `CLOCK_MONOTONIC`.
  @inline(__always)
  public static func monotonicNanoseconds() -> Int64 { read(CLOCK_MONOTONIC) }

  /// Nanoseconds since 1970 in UTC.
  @inline(__always)
  public static func wallNanoseconds() -> Int64 { read(CLOCK_REALTIME) }

  /// How far the wall clock is ahead of the monotonic one, and when that was looked at.
  private static let lead = Atomic<Int64>(0)
  private static let lookedAt = Atomic<Int64>(-second)

  /// The wall clock at a moment of the monotonic one that has just been read.
  ///
  /// The two differ by what changes only when somebody sets the clock; such a step shows 0.1 s later, at most.
  package static func wallNanoseconds(at monotonic: Int64) -> Int64 {
    if monotonic &- lookedAt.load(ordering: .acquiring) < 100_000_000 {
      return monotonic + lead.load(ordering: .relaxed)
    }
    let wall = wallNanoseconds()
    // A thread that was held up since it read the monotonic clock would set everybody's timestamps wrong.
    if monotonicNanoseconds() - monotonic < 500_000 {
      lead.store(wall - monotonic, ordering: .relaxed)
      lookedAt.store(monotonic, ordering: .releasing)
    }
    return wall
  }

  /// Holds the calling thread; a signal may end it early.
  static func sleepThread(nanoseconds: Int) {
    var time = timespec(tv_sec: nanoseconds / 1_000_000_000, tv_nsec: nanoseconds % 1_000_000_000)
    nanosleep(&time, nil)
  }

  private static func read(_ clock: clockid_t) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * second + Int64(time.tv_nsec)
  }
}

/// A date of the Gregorian calendar.
private struct Day {
  var year: UInt32
  var month: UInt32
  var day: UInt32

  // Its days since 1970 in the upper half, then year, month and day: one word, so that nobody sees half a date.
  private static let known = Atomic<UInt64>(.max)

  /// The date that many days after 1970-01-01, by Howard Hinnant's `civil_from_days`; the last one is remembered.
  static func at(_ days: UInt32) -> Day {
    let known = known.load(ordering: .relaxed)
    if known >> 32 == UInt64(days) {
      let date = UInt32(truncatingIfNeeded: known)
      return Day(year: date >> 16, month: date >> 8 & 255, day: date & 255)
    }
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let civilMonth = month < 10 ? month + 3 : month - 9
    let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
    Self.known.store(
      UInt64(days) << 32 | UInt64(year) << 16 | UInt64(civilMonth) << 8 | UInt64(day), ordering: .relaxed)
    return Day(year: year, month: civilMonth, day: day)
  }
}

extension ByteWriter {
  /// Writes a moment from 1970 to 9999 as RFC 3339 in UTC with milliseconds, such as `2026-01-31T09:05:00.120Z`.
  public mutating func append(timestamp wallNanoseconds: Int64) {
    let milliseconds = UInt64(max(0, wallNanoseconds)) / 1_000_000
    let days = UInt32(truncatingIfNeeded: milliseconds / 86_400_000)
    let ofDay = UInt32(truncatingIfNeeded: milliseconds % 86_400_000)
    let date = Day.at(days)
    let (seconds, millisecond) = (ofDay / 1000, ofDay % 1000)
    let (minutes, second) = (seconds / 60, seconds % 60)
    append(exactly: 24) { out in
      @inline(__always)
      func two(_ at: Int, _ value: UInt32) {
        out[at] = UInt8(truncatingIfNeeded: 48 &+ value / 10)
        out[at &+ 1] = UInt8(truncatingIfNeeded: 48 &+ value % 10)
      }
      two(0, date.year / 100)
      two(2, date.year % 100)
      out[4] = UInt8(ascii: "-")
      two(5, date.month)
      out[7] = UInt8(ascii: "-")
      two(8, date.day)
      out[10] = UInt8(ascii: "T")
      two(11, minutes / 60)
      out[13] = UInt8(ascii: ":")
      two(14, minutes % 60)
      out[16] = UInt8(ascii: ":")
      two(17, second)
      out[19] = UInt8(ascii: ".")
      two(20, millisecond / 10)
      out[22] = UInt8(truncatingIfNeeded: 48 &+ millisecond % 10)
      out[23] = UInt8(ascii: "Z")
    }
  }
}
