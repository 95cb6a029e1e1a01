import CLibevent
import Glibc

extension Exchange {
  /// Refuses what would leave the connection out of step: evhttp takes the first of two lengths, and reads no body
  /// for methods that rarely have one, so that the body would be taken for the next request.
  func checkFraming() throws(ErrorReply) {
    var length: UnsafeMutablePointer<CChar>?
    var hasBody = false
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      if strcasecmp(current.pointee.key, "Transfer-Encoding") == 0 { hasBody = true }
      guard strcasecmp(current.pointee.key, "Content-Length") == 0 else { continue }
      if let length, strcmp(length, current.pointee.value) != 0 {
        var refusal = ErrorReply(400, "VALIDATION_ERROR", "Content-Length: two values that differ")
        refusal.closes = true
        throw refusal
      }
      length = current.pointee.value
      guard let digits = current.pointee.value, strspn(digits, "0123456789") == strlen(digits) else {
        var refusal = ErrorReply(
          400, "VALIDATION_ERROR", "Content-Length: digits and nothing else are allowed")
        refusal.closes = true
        throw refusal
      }
      if let length, strcmp(length, "0") != 0 { hasBody = true }
    }
    if hasBody, method != .post { closeAfterReply() }
  }
}
