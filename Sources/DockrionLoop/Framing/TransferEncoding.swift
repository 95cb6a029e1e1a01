/// The value of `Transfer-Encoding`.
enum TransferEncoding {
  /// Accepts `chunked` alone, in letters of any case.
  ///
  ///     Transfer-Encoding = #transfer-coding                                     RFC 9112, 6.1
  ///     transfer-coding = token *( OWS ";" OWS transfer-parameter )              RFC 9112, 7
  ///
  /// `chunked` has no parameters, and is applied once and last (7.1, 6.1).
  ///
  /// - Throws: 501 for codings that are well formed and unknown here, 400 for everything else.
  static func check(_ value: UnsafeRawBufferPointer) throws(FramingRefusal) {
    if Octets.equal(value, "chunked") { return }
    var codings = 0
    var isUnknown = false
    for element in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let coding = Octets.trimmed(UnsafeRawBufferPointer(rebasing: element))
      guard !coding.isEmpty, coding.allSatisfy(Octets.isToken) else {
        throw FramingRefusal("Transfer-Encoding", value, "is no list of codings without parameters")
      }
      codings += 1
      if !Octets.equal(coding, "chunked") { isUnknown = true }
    }
    guard isUnknown else {
      throw FramingRefusal("Transfer-Encoding", value, "applies chunked more than once")
    }
    // What ends in another coding has no end (RFC 9112, 6.3); it is unknown all the same.
    throw FramingRefusal(
      "Transfer-Encoding", value, "is not chunked, the one coding that is known here", status: 501)
  }
}
