import Foundation

/// An event stream that curl reads, over HTTP/2 when the address is one of TLS; each event with its arrival.
final class CurlStream {
  private let process = Process()
  private let output = Pipe()
  private var frames = FrameParser()
  private var ready: [Event] = []
  private var next = 0
  private var hasEnded = false

  /// - Parameters:
  ///   - certificate: the file of the only certificate to trust.
  ///   - resolve: makes that `localhost` is 127.0.0.1, whatever the machine says.
  init(_ url: String, certificate: String, body: String?, headers: [String] = []) throws {
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    var arguments = ["curl", "-sSN", "--http2", "--cacert", certificate, "--ipv4"]
    for header in headers { arguments += ["-H", header] }
    if let body { arguments += ["-H", "Content-Type: application/json", "-d", body] }
    // The version stands behind the last event as a comment, which the frame parser takes.
    process.arguments = arguments + ["-w", ": http %{http_version}\n", url]
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
  }

  deinit { stop() }

  /// What curl says of the protocol, once the stream has ended: `2` for HTTP/2.
  private(set) var httpVersion: String?

  /// The next event; nil at the end.
  func event(within seconds: Double = 10) throws -> Event? {
    let deadline = Deadline.in(seconds)
    while next == ready.count {
      if hasEnded { return nil }
      try read(until: deadline)
    }
    next += 1
    return ready[next - 1]
  }

  func remainingEvents(within seconds: Double = 10) throws -> [Event] {
    var events: [Event] = []
    while let event = try event(within: seconds) { events.append(event) }
    return events
  }

  /// Ends curl at once. It may have inherited that SIGTERM is blocked.
  func stop() {
    guard process.isRunning else { return }
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  private func read(until deadline: Deadline) throws {
    var entry = pollfd(
      fd: output.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, deadline.remainingMilliseconds) > 0 else {
      throw ClientError("waited too long for curl")
    }
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = Glibc.read(entry.fd, &bytes, bytes.count)
    guard count > 0 else {
      hasEnded = true
      return
    }
    for frame in try frames.feed(Array(bytes[..<count]), arrival: monotonicNanoseconds()) {
      switch frame {
      case .event(let event): ready.append(event)
      case .comment(let text) where text.hasPrefix("http "): httpVersion = String(text.dropFirst(5))
      case .comment: break
      }
    }
  }
}
