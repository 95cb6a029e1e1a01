extension JSONReader {
  private static let powersOfTen: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19,
    1e20, 1e21, 1e22,
  ]

  @inline(__always)
  mutating func readNumber(_ at: inout UnsafePointer<UInt8>) throws(Flaw) -> JSONValue {
    let first = at
    let isNegative = at.pointee == UInt8(ascii: "-")
    if isNegative { at += 1 }
    var digits: UInt64 = 0
    var isExact = true
    let whole = at
    try readDecimals(&at, &digits, &isExact)
    if whole.pointee == UInt8(ascii: "0"), at - whole > 1 {
      throw wrong("a number does not begin with a needless 0", whole)
    }
    let next = peek(at)
    if isExact, next != UInt8(ascii: "."), next | 0x20 != UInt8(ascii: "e") {
      if digits <= UInt64(Int64.max) { return .int(isNegative ? -Int64(digits) : Int64(digits)) }
      if isNegative, digits == UInt64(Int64.max) + 1 { return .int(.min) }
    }
    let number = try readRest(first, digits, isExact, isNegative, at)
    at = stop
    return .double(number)
  }

  /// Reads a number's fraction and exponent, if there are any, behind the digits that are given.
  @inline(never)
  private mutating func readRest(
    _ first: UnsafePointer<UInt8>, _ whole: UInt64, _ isWholeExact: Bool, _ isNegative: Bool,
    _ next: UnsafePointer<UInt8>
  ) throws(Flaw) -> Double {
    var (at, digits, isExact) = (next, whole, isWholeExact)
    var exponent = 0
    if peek(at) == UInt8(ascii: ".") {
      at += 1
      let fraction = at
      try readDecimals(&at, &digits, &isExact)
      exponent = fraction - at
    }
    if peek(at) | 0x20 == UInt8(ascii: "e") {
      at += 1
      let isSmall = peek(at) == UInt8(ascii: "-")
      if isSmall || peek(at) == UInt8(ascii: "+") { at += 1 }
      var power: UInt64 = 0
      var isPowerExact = true
      try readDecimals(&at, &power, &isPowerExact)
      if isPowerExact, power < 1000 {
        exponent += isSmall ? -Int(power) : Int(power)
      } else {
        isExact = false
      }
    }
    stop = at
    // Both factors are exact, so the one rounding is the right one (Clinger, 1990).
    if isExact, digits <= 1 << 53, exponent.magnitude <= 22 {
      let power = Self.powersOfTen[Int(exponent.magnitude)]
      let number = exponent < 0 ? Double(digits) / power : Double(digits) * power
      return isNegative ? -number : number
    }
    let text = String(decoding: UnsafeBufferPointer(start: first, count: at - first), as: UTF8.self)
    guard let number = Double(text), number.isFinite else {
      throw wrong("the number is beyond what fits 64 bits", first)
    }
    return number
  }

  /// Reads one digit at least.
  @inline(__always)
  private mutating func readDecimals(
    _ at: inout UnsafePointer<UInt8>, _ number: inout UInt64, _ isExact: inout Bool
  ) throws(Flaw) {
    guard peek(at) &- UInt8(ascii: "0") < 10 else { throw needed("a digit", at) }
    repeat {
      let digit = UInt64(at.pointee &- UInt8(ascii: "0"))
      if number < 1_000_000_000_000_000_000 {
        number = number * 10 + digit
      } else {
        carry(digit, &number, &isExact)
      }
      at += 1
    } while at < end && at.pointee &- UInt8(ascii: "0") < 10
  }

  private func carry(_ digit: UInt64, _ number: inout UInt64, _ isExact: inout Bool) {
    let (ten, over) = number.multipliedReportingOverflow(by: 10)
    let (sum, carried) = ten.addingReportingOverflow(digit)
    if over || carried { isExact = false } else { number = sum }
  }
}
