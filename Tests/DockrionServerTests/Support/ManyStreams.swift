import Foundation

/// Thousands of connections on one thread, each sending one request and keeping all that comes back.
///
///     let streams = ManyStreams(to: server.port, requests: Array(repeating: request, count: 1000))
///     try streams.run(within: 10) { streams.endedCount == 1000 }
final class ManyStreams {
  /// What one connection has had.
  struct Transcript {
    var bytes: [UInt8] = []
    var firstByteAt: UInt64?
    var endedAt: UInt64?
    var failure: String?
  }

  private enum State { case waiting, open, closed }

  private(set) var transcripts: [Transcript]
  /// Responses that have come to their end, or failed.
  private(set) var endedCount = 0
  /// Connections that have had their first byte.
  private(set) var answeredCount = 0
  private let ports: [Int]
  private let requests: [[UInt8]]
  private let startTimes: [UInt64]
  private var descriptors: [Int32]
  private var states: [State]
  private var nextToOpen = 0
  private var entries: [pollfd] = []
  private var owners: [Int] = []
  private var buffer = [UInt8](repeating: 0, count: 1 << 18)

  /// Connections that may wait for their first byte at once; the server's backlog is bounded.
  private let unansweredMax = 100

  /// - Parameter delays: seconds from now at which each connection opens, ascending; empty: as soon as possible.
  convenience init(to port: Int, requests: [String], delays: [Double] = []) {
    self.init(to: Array(repeating: port, count: requests.count), requests: requests, delays: delays)
  }

  /// - Parameter ports: where each request goes.
  init(to ports: [Int], requests: [String], delays: [Double] = []) {
    precondition(ports.count == requests.count)
    raiseDescriptorLimit()
    self.ports = ports
    self.requests = requests.map { Array($0.utf8) }
    let now = monotonicNanoseconds()
    startTimes =
      delays.isEmpty
      ? Array(repeating: now, count: requests.count) : delays.map { now + UInt64($0 * 1e9) }
    transcripts = Array(repeating: Transcript(), count: requests.count)
    descriptors = Array(repeating: -1, count: requests.count)
    states = Array(repeating: .waiting, count: requests.count)
  }

  deinit { closeAll() }

  /// Opens what is due and reads what comes until `done` holds.
  func run(within seconds: Double, until done: () throws -> Bool) throws {
    let deadline = Deadline.in(seconds)
    while try !done() {
      guard !deadline.hasPassed else {
        throw ClientError(
          "\(endedCount) ended and \(answeredCount) answered of \(requests.count) in \(seconds) s")
      }
      try openDue()
      try turn()
    }
  }

  func closeAll() {
    for index in descriptors.indices { close(index) }
    entries.removeAll()
    owners.removeAll()
  }

  /// The bodies, each response read strictly from its first byte to its last.
  func bodies() throws -> [[UInt8]] {
    try transcripts.map { transcript in
      if let failure = transcript.failure { throw ClientError(failure) }
      var parser = ResponseParser(method: "GET")
      let body = try parser.feed(transcript.bytes)
      if !parser.isFinished { try parser.end() }
      guard let head = parser.head, head.status == 200 else {
        throw ClientError("not 200: \(String(decoding: transcript.bytes.prefix(400), as: UTF8.self))")
      }
      return body
    }
  }

  private func openDue() throws {
    let now = monotonicNanoseconds()
    while nextToOpen < requests.count, startTimes[nextToOpen] <= now,
      nextToOpen - answeredCount < unansweredMax
    {
      let descriptor = try openSocket(to: .tcp(ports[nextToOpen]), receiveBuffer: nil)
      descriptors[nextToOpen] = descriptor
      states[nextToOpen] = .open
      entries.append(pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0))
      owners.append(nextToOpen)
      let request = requests[nextToOpen]
      let sent = Glibc.send(descriptor, request, request.count, Int32(MSG_NOSIGNAL))
      guard sent == request.count else { throw ClientError.system("send") }
      nextToOpen += 1
    }
  }

  /// Waits for bytes, at most a millisecond while connections are still to open, and takes them.
  private func turn() throws {
    let wait: Int32 = nextToOpen < requests.count ? 1 : 20
    let count = poll(&entries, nfds_t(entries.count), wait)
    guard count >= 0 || errno == EINTR else { throw ClientError.system("poll") }
    guard count > 0 else { return }
    for position in entries.indices where entries[position].revents != 0 { receive(owners[position]) }
    let kept = owners.indices.filter { states[owners[$0]] == .open }
    guard kept.count < owners.count else { return }
    entries = kept.map { entries[$0] }
    owners = kept.map { owners[$0] }
  }

  private func receive(_ index: Int) {
    let count = buffer.withUnsafeMutableBytes {
      recv(descriptors[index], $0.baseAddress, $0.count, Int32(MSG_DONTWAIT))
    }
    if count < 0 {
      if errno != EAGAIN && errno != EINTR { end(index, failure: String(cString: strerror(errno))) }
      return
    }
    if transcripts[index].firstByteAt == nil {
      transcripts[index].firstByteAt = monotonicNanoseconds()
      answeredCount += 1
    }
    transcripts[index].bytes += buffer[..<count]
    if count == 0 || transcripts[index].bytes.suffix(7).elementsEqual(lastChunk) { end(index, failure: nil) }
  }

  private func end(_ index: Int, failure: String?) {
    transcripts[index].endedAt = monotonicNanoseconds()
    transcripts[index].failure = failure
    endedCount += 1
    close(index)
  }

  private func close(_ index: Int) {
    guard descriptors[index] >= 0 else { return }
    Glibc.close(descriptors[index])
    descriptors[index] = -1
    states[index] = .closed
  }
}

private let lastChunk = Array("\r\n0\r\n\r\n".utf8)

/// Takes the system's hard limit for open descriptors.
func raiseDescriptorLimit() {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
