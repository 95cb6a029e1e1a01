import DockrionCore

/// Deadlines in whole seconds on a loop's clock, for everything that lives there.
package final class Deadlines {
  package let queues = DeadlineQueues()
  private let loop: EventLoop

  package init(_ loop: EventLoop) { self.loop = loop }

  /// The loop's clock, for what may be as old as the tick.
  package var now: Int64 { loop.now }

  package func set(seconds: Int, _ target: any DeadlineTarget, tag: UInt8 = 0) -> DeadlineQueues.Token {
    queues.set(after: Int64(seconds) * Clock.second, now: loop.now, target, tag: tag)
  }

  /// Starts a deadline's delay anew.
  package func renew(_ token: DeadlineQueues.Token?) {
    if let token { queues.renew(token, now: loop.now) }
  }

  /// False once the deadline has passed or was cleared.
  package func isSet(_ token: DeadlineQueues.Token) -> Bool { queues.isSet(token) }

  package func clear(_ token: DeadlineQueues.Token?) { queues.clear(token) }

  /// Hands a deadline on; one that has passed meanwhile passes again at once.
  package func hand(_ token: DeadlineQueues.Token, to target: any DeadlineTarget, tag: UInt8 = 0)
    -> DeadlineQueues.Token
  {
    queues.hand(token, to: target, tag: tag) ? token : set(seconds: 0, target, tag: tag)
  }
}
