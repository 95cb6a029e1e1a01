import Glibc

/// Random UUIDs (RFC 9562, version 4), from the system's generator in batches.
final class RandomIDs {
  private var pool = [UInt8](repeating: 0, count: 4096)
  private var used = 4096

  func next() -> String {
    if used + 16 > pool.count {
      // SystemRandomNumberGenerator asks the kernel for each number; getentropy gives 256 bytes at a time.
      pool.withUnsafeMutableBytes { bytes in
        for offset in stride(from: 0, to: bytes.count, by: 256) {
          precondition(getentropy(bytes.baseAddress! + offset, 256) == 0, "the system gives no random bytes")
        }
      }
      used = 0
    }
    defer { used += 16 }
    pool[used + 6] = pool[used + 6] & 0x0F | 0x40
    pool[used + 8] = pool[used + 8] & 0x3F | 0x80
    let start = used
    return String(unsafeUninitializedCapacity: 36) { text in
      var at = 0
      for index in 0..<16 {
        if index == 4 || index == 6 || index == 8 || index == 10 {
          text[at] = UInt8(ascii: "-")
          at += 1
        }
        text[at] = Self.digit(pool[start + index] >> 4)
        text[at + 1] = Self.digit(pool[start + index] & 15)
        at += 2
      }
      return 36
    }
  }

  private static func digit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}
