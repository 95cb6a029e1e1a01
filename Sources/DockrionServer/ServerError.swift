import Glibc

/// Why a server could not start. The description is one line for a person.
public struct ServerError: Error, Sendable, CustomStringConvertible {
  /// What went wrong, for programs.
  public enum Code: Sendable, Equatable {
    case bindFailed, unknownAgent, missingAPIKey, libeventFailed
  }

  public let code: Code
  /// The system's error number, or 0.
  public let errno: Int32
  public let description: String

  init(_ code: Code, errno: Int32 = 0, _ context: String) {
    self.code = code
    self.errno = errno
    description = errno == 0 ? context : "\(context): \(String(cString: strerror(errno)))"
  }
}
