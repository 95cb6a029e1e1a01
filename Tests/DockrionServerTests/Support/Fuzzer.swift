import Foundation
import TestSupport

/// Sends mutated requests over many connections at once and looks at what comes back.
final class Fuzzer {
  /// How many first replies had each status.
  private(set) var statuses: [Int: Int] = [:]
  /// Replies that no request may get, with the number of the conversation.
  private(set) var surprises: [String] = []
  private let endpoint: Endpoint
  private let seed: UInt64
  private var slots: [Slot?]
  private var conversations: UInt64 = 0
  private var requests = 0
  private var bytes = 0
  private var silent = 0

  private static let slotCount = 48
  /// 500 is for an agent that fails, which some payloads ask for.
  private static let expected: Set<Int> = [
    100, 200, 202, 204, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414, 415, 417, 422, 429, 431, 500, 501,
    503, 504, 505,
  ]

  init(to endpoint: Endpoint, seed: UInt64) {
    self.endpoint = endpoint
    self.seed = seed
    slots = Array(repeating: nil, count: Self.slotCount)
  }

  var summary: String {
    let counts = statuses.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    return
      "\(requests) requests in \(conversations) conversations, \(bytes >> 10) KiB; first replies \(counts), "
      + "none: \(silent)"
  }

  /// Keeps every connection busy for so long.
  func play(for seconds: Double) throws {
    let deadline = Deadline.in(seconds)
    while !deadline.hasPassed {
      for index in slots.indices {
        if slots[index] == nil { slots[index] = try begin() }
        if slots[index]?.turn() == true { end(index) }
      }
      wait()
    }
  }

  func closeAll() {
    for index in slots.indices where slots[index] != nil { end(index) }
  }

  private func begin() throws -> Slot {
    conversations += 1
    // A conversation is the same whatever came before it.
    let conversation = Conversation(seed: seed &+ conversations &* 0x9E37_79B9_7F4A_7C15)
    requests += conversation.requestCount
    bytes += conversation.pieces.reduce(0) { $0 + $1.count }
    return try Slot(number: conversations, conversation, openSocket(to: endpoint, receiveBuffer: nil))
  }

  private func end(_ index: Int) {
    guard let slot = slots[index] else { return }
    slots[index] = nil
    slot.close()
    let start = String(decoding: slot.received.prefix(400), as: UTF8.self)
    guard !start.isEmpty else {
      silent += 1
      return
    }
    guard start.utf8.count >= 12 || slot.received.count >= 12 else { return }
    guard start.hasPrefix("HTTP/"),
      let status = start.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else {
      return surprises.append("conversation \(slot.number): no reply of HTTP: \(start)")
    }
    statuses[status, default: 0] += 1
    // A page of evhttp's own: it was given what it would not take.
    let isForeign = start.contains("<HTML><HEAD>")
    if !Self.expected.contains(status) || start.contains("INTERNAL_ERROR") || isForeign {
      surprises.append("conversation \(slot.number): \(start)")
    }
  }

  private func wait() {
    var entries = slots.compactMap { slot in
      slot.map { pollfd(fd: $0.descriptor, events: $0.interest, revents: 0) }
    }
    poll(&entries, nfds_t(entries.count), 2)
  }
}

/// One connection that plays a conversation.
private final class Slot {
  let number: UInt64
  let descriptor: Int32
  private(set) var received: [UInt8] = []
  private let conversation: Conversation
  private var piece = 0
  private var offset = 0
  private var receivedCount = 0
  private let deadline: Deadline
  private var buffer = [UInt8](repeating: 0, count: 16_384)

  init(number: UInt64, _ conversation: Conversation, _ descriptor: Int32) {
    self.number = number
    self.conversation = conversation
    self.descriptor = descriptor
    deadline = .in(conversation.patience)
    var yes: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
  }

  var interest: Int16 {
    Int16((isSent ? 0 : POLLOUT) | (conversation.ending == .neverRead ? 0 : POLLIN))
  }

  private var isSent: Bool { piece == conversation.pieces.count }

  /// Sends and reads a little; true when the conversation is over.
  func turn() -> Bool {
    if !isSent {
      let count = conversation.pieces[piece].withUnsafeBytes {
        send(descriptor, $0.baseAddress! + offset, $0.count - offset, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count < 0, errno != EAGAIN {
        _ = readAll()
        return true
      }
      offset += max(0, count)
      if offset == conversation.pieces[piece].count {
        offset = 0
        piece += 1
        if isSent, conversation.ending == .halfClose { shutdown(descriptor, Int32(SHUT_WR)) }
      }
    }
    return readAll() || deadline.hasPassed || (isSent && receivedCount >= conversation.bytesWanted)
  }

  /// True at the end.
  private func readAll() -> Bool {
    if conversation.ending == .neverRead { return false }
    let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
    if count < 0 { return errno != EAGAIN && errno != EINTR }
    receivedCount += count
    if received.count < 400 { received += buffer[..<count] }
    return count == 0
  }

  func close() {
    if conversation.ending == .reset {
      var option = linger(l_onoff: 1, l_linger: 0)
      setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
    Glibc.close(descriptor)
  }
}
