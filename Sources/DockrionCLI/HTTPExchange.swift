import DequeModule
import Dispatch
import DockrionCore
import Foundation
import FoundationNetworking

/// One request and its reply, which is handed on piece by piece as it arrives.
///
///     let exchange = HTTPExchange(request)
///     guard try exchange.status() == 200 else { … }
///     while let bytes = try exchange.bytes() { … }       // waits; nil at the reply's end
///
/// One thread reads; it blocks until there is something.
final class HTTPExchange {
  private enum Piece: Sendable {
    case head(Int)
    case bytes([UInt8])
    case end(problem: String?)
  }

  /// Takes the pieces from URLSession's queue to the reading thread.
  private final class Receiver: NSObject, URLSessionDataDelegate, Sendable {
    let pieces = Locked<Deque<Piece>>([])
    let arrived = DispatchSemaphore(value: 0)

    private func put(_ piece: Piece) {
      pieces.withLock { $0.append(piece) }
      arrived.signal()
    }

    func take() -> Piece {
      while true {
        arrived.wait()
        if let piece = pieces.withLock({ $0.popFirst() }) { return piece }
      }
    }

    func urlSession(
      _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
      completionHandler: @escaping (URLSession.ResponseDisposition) -> Void
    ) {
      put(.head((response as? HTTPURLResponse)?.statusCode ?? 0))
      completionHandler(.allow)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
      put(.bytes(Array(data)))
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
      put(.end(problem: error.map { $0.localizedDescription }))
    }
  }

  private let receiver = Receiver()
  private let session: URLSession
  private var isOver = false

  /// Sends the request.
  init(_ request: URLRequest) {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
    configuration.urlCache = nil
    session = URLSession(configuration: configuration, delegate: receiver, delegateQueue: nil)
    session.dataTask(with: request).resume()
  }

  deinit { session.invalidateAndCancel() }

  /// The reply's status; waits for it.
  ///
  /// - Throws: `ConnectionProblem` when there is no reply.
  func status() throws(ConnectionProblem) -> Int {
    switch receiver.take() {
    case .head(let status): return status
    case .bytes: throw ConnectionProblem(description: "the reply has no head")
    case .end(let problem):
      isOver = true
      throw ConnectionProblem(description: problem ?? "the connection was closed before a reply")
    }
  }

  /// The next bytes of the reply, as soon as there are some; nil at its end.
  ///
  /// - Throws: `ConnectionProblem` when the connection broke before the end.
  func bytes() throws(ConnectionProblem) -> [UInt8]? {
    while !isOver {
      switch receiver.take() {
      case .head: continue
      case .bytes(let bytes): return bytes
      case .end(let problem):
        isOver = true
        if let problem { throw ConnectionProblem(description: problem) }
      }
    }
    return nil
  }
}
