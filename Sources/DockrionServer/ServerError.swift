import Glibc

/// Why a server could not start. The description is one line for a person.
public struct ServerError: Error, Sendable, CustomStringConvertible {
  /// What went wrong, for programs.
  public enum Code: Sendable, Equatable {
    case bindFailed, unknownAgent, missingAPIKey, libeventFailed
    /// The same `Dockrion.Server` cannot be started again.
    case startedBefore
    /// Another server of the process handles signals.
    case signalsTaken
    case threadFailed
    case unwritableLog
  }

  public let code: Code
  /// The system's error number, or 0.
  public let errno: Int32
  public let description: String

  /// - Parameter advice: what a person can do about it.
  init(_ code: Code, errno: Int32 = 0, _ context: @autoclosure () -> String, advice: String? = nil) {
    self.code = code
    self.errno = errno
    let sentence = errno == 0 ? context() : "\(context()): \(String(cString: strerror(errno)))"
    description = advice.map { "\(sentence); \($0)" } ?? sentence
  }
}
