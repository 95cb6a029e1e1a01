import Glibc

/// Why a loop or a listener could not be made.
package struct LoopError: Error, Sendable, CustomStringConvertible {
  package enum Code: Sendable {
    /// An address cannot be listened on.
    case bindFailed
    /// libevent, or a descriptor that it needs, could not be had.
    case libeventFailed
  }

  package let code: Code
  /// The system's error number, or 0.
  package let errno: Int32
  /// What was tried, and where.
  package let context: String
  /// What a person can do about it, where the loop knows.
  package let advice: String?

  init(_ code: Code, errno: Int32 = 0, _ context: String, advice: String? = nil) {
    (self.code, self.errno, self.context, self.advice) = (code, errno, context, advice)
  }

  package var description: String {
    errno == 0 ? context : "\(context): \(String(cString: strerror(errno)))"
  }
}
