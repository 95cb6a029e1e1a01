import DockrionCore
import DockrionLoop

/// One client of `/runs/{id}/events`: a cursor into the run's log.
///
/// Replay, live delivery and catching up are one thing: sending from the cursor until the log ends or the client
/// has enough to read.
final class Subscriber: FeedReader, ExchangeOwner, DeadlineTarget {
  private let book: StreamBook
  private let feed: RunFeed
  private let stream: EventStream
  private let filter: EventsFilter?
  private let encoder: EventEncoder
  private var cursor: Int
  /// Where the client began: behind its `Last-Event-ID`, or at a place that it asked for.
  private let start: Subscription.Start
  private var timeout: DeadlineQueues.Token?

  /// - Parameters:
  ///   - agent: whose run it is.
  ///   - filter: what the subscription is narrowed to.
  ///   - seconds: how long it lasts.
  init(
    _ exchange: Exchange, _ book: StreamBook, _ feed: RunFeed, of agent: ServedAgent,
    from start: Subscription.Start, filter: EventsFilter?, seconds: Int
  ) {
    self.book = book
    self.feed = feed
    self.start = start
    cursor = max(1, start.cursor)
    self.filter = filter
    encoder = EventEncoder(identity: .run(feed.id))
    stream = EventStream(
      exchange, book, encoder, .subscription, agent: agent.index,
      hasHeartbeats: agent.hasHeartbeats && filter?.passes(.heartbeat) ?? true)
    exchange.owner = self
    if exchange.isHead {
      stream.endHead()
      return
    }
    feed.add(self)
    timeout = book.deadlines.set(seconds: seconds, self)
    pump()
    if stream.isOpen { stream.sendHead() }
  }

  func connectionClosed(_ reason: CloseReason) {
    if stream.closed(reason) { leave() }
  }

  func roomToSend() {
    if stream.hasRoom { pump() }
  }

  /// Sends what the client lacks, as far as it takes it.
  func pump() {
    if feed.isFinal, cursor > feed.lastSequence { goBackToEnd() }
    while stream.isOpen, !stream.isPaused, cursor <= feed.lastSequence {
      if cursor < feed.log.firstSequence {
        sendGap(from: cursor, through: feed.log.firstSequence - 1)
        cursor = feed.log.firstSequence
      } else if let filter {
        sendFiltered(filter)
      } else {
        sendStretch()
      }
    }
    if stream.isOpen, feed.isFinal, cursor > feed.lastSequence { end(.finished) }
  }

  /// The run has ended before the place that this client has reached or waits for: it gets the end all the same.
  private func goBackToEnd() {
    guard stream.isOpen else { return }
    let last = feed.lastSequence
    let hasAdvanced = cursor > max(1, start.cursor)
    // It has had the end: a moment ago, before that was known to be one, or on an earlier connection.
    if !feed.isRewound, cursor == last + 1, hasAdvanced || start.isResumed { return }
    // Redis has lost what this client was sent, and the end stands in its place.
    if hasAdvanced { sendGap(from: last, through: cursor - 1) }
    cursor = last
  }

  private func sendGap(from first: Int, through last: Int) {
    var writer = ByteWriter(capacity: 192)
    encoder.writeUnnumbered(name: "gap", timestamp: false, to: &writer) { out in
      out.append(",\"from_sequence\":")
      out.append(decimal: first)
      out.append(",\"to_sequence\":")
      out.append(decimal: last)
    }
    stream.send(writer.bytes)
  }

  private func sendStretch() {
    let (bytes, next) = feed.log.read(
      from: cursor, through: feed.lastSequence, bytesMax: Limits.streamBufferBytesHigh)
    cursor = next
    if feed.isFinal, cursor > feed.lastSequence { end(.finished, bytes) } else { stream.send(bytes) }
  }

  private func sendFiltered(_ filter: EventsFilter) {
    let chunk = book.chunk
    chunk.writer.reuse()
    while cursor <= feed.lastSequence, chunk.writer.count < Limits.streamBufferBytesHigh {
      if feed.log.passes(filter, at: cursor) {
        chunk.writer.append(feed.log.read(from: cursor, through: cursor, bytesMax: 0).bytes)
      }
      cursor += 1
    }
    if chunk.writer.count > 0 { stream.send(chunk.writer.bytes) }
    chunk.writer.reuse()
  }

  func deadlinePassed(_ tag: UInt8) {
    timeout = nil
    guard stream.isOpen else { return }
    var writer = ByteWriter(capacity: 192)
    encoder.writeUnnumbered(name: "timeout", timestamp: false, to: &writer) { out in
      out.append(
        ",\"message\":\"the subscription's time is over; subscribe again to go on\",\"last_sequence\":")
      out.append(decimal: cursor - 1)
    }
    end(.timeout, writer.bytes)
  }

  private func end(
    _ reason: CloseReason, _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) {
    stream.end(reason, bytes)
    leave()
  }

  private func leave() {
    book.deadlines.clear(timeout)
    timeout = nil
    feed.remove(self)
  }
}
