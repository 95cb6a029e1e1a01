import DockrionCore

/// Why a connection's bytes are no request of HTTP that could be answered otherwise.
///
/// Where one request ends and the next begins is in doubt from here on, so nothing behind it is read.
package struct FramingRefusal: Error, Equatable {
  /// 400, or what RFC 9110 has for the case: 413, 417, 431, 501.
  package let status: Int
  package let message: String

  package init(_ message: String, status: Int = 400) {
    self.message = message
    self.status = status
  }

  // More than are shown, so that it shows that there are more.
  private static let quotedBytes = 4 * 61

  /// - Parameter value: what was sent; its beginning is quoted.
  package init(_ what: String, _ value: UnsafeRawBufferPointer, _ why: String, status: Int = 400) {
    let text = String(decoding: value.prefix(Self.quotedBytes), as: UTF8.self)
    self.init("\(what): \(quoted(text)) \(why)", status: status)
  }
}
