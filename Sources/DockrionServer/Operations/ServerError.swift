import DockrionLoop
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
    /// A Python agent's processes cannot be started, or cannot import it.
    case pythonFailed
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

  /// Runs `body`, whose errors become this server's.
  static func translating<Value>(
    advice: (Int32) -> String? = { _ in nil }, _ body: () throws(LoopError) -> Value
  ) throws(ServerError) -> Value {
    do { return try body() } catch {
      throw ServerError(error, advice: advice(error.errno))
    }
  }

  private init(_ error: LoopError, advice: String?) {
    let code: Code =
      switch error.code {
      case .bindFailed: .bindFailed
      case .libeventFailed: .libeventFailed
      }
    self.init(code, errno: error.errno, error.context, advice: error.advice ?? advice)
  }
}
