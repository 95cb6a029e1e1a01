import Dispatch
import DockrionCore
import Glibc
import Logging
import Synchronization

/// A file to which lines are added from a thread of its own, so that no disk holds the loop up.
///
/// What waits for the disk is bounded; lines beyond that are lost, as those are that the disk refuses. Both are counted
/// and said. The path `-` is standard output.
final class LineFile: Sendable {
  private struct Waiting: Sendable {
    var bytes: [UInt8] = []
    var lines = 0
    var reopens = false
    var isClosing = false
  }

  private let path: String
  private let logger: Logger
  private let waiting = Locked(Waiting())
  private let arrived = DispatchSemaphore(value: 0)
  private let ended = DispatchSemaphore(value: 0)
  private let lost = Atomic<Int>(0)

  /// Opens the file, which is made where there is none.
  ///
  /// - Throws: `ServerError` with the reason.
  init(_ path: String, _ logger: Logger) throws(ServerError) {
    self.path = path
    self.logger = logger
    let descriptor = Self.open(path)
    guard descriptor >= 0 else {
      throw ServerError(.unwritableLog, errno: errno, "cannot write the access log \"\(path)\"")
    }
    var thread = pthread_t()
    let writer = Unmanaged.passRetained(Writer(self, descriptor))
    let code = pthread_create(
      &thread, nil,
      { argument in
        Unmanaged<Writer>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, writer.toOpaque())
    guard code == 0 else {
      writer.release()
      throw ServerError(.unwritableLog, errno: code, "cannot start a thread for the access log \"\(path)\"")
    }
    pthread_detach(thread)
  }

  /// Lines that were lost since the start.
  var lostLines: Int { lost.load(ordering: .relaxed) }

  /// Hands lines over; false when so much waits that they are lost.
  func add(_ bytes: UnsafeRawBufferPointer, lines: Int) -> Bool {
    let fits = waiting.withLock { waiting in
      guard waiting.bytes.count + bytes.count <= Limits.accessLogBytesMax else { return false }
      waiting.bytes += bytes
      waiting.lines += lines
      return true
    }
    if fits { arrived.signal() } else { lost.add(lines, ordering: .relaxed) }
    return fits
  }

  /// Opens the path anew, once what was handed over has been written to the old file.
  func reopen() {
    waiting.withLock { $0.reopens = true }
    arrived.signal()
  }

  /// Writes what is left; gives up after `Limits.accessLogCloseSeconds`.
  func close() {
    waiting.withLock { $0.isClosing = true }
    arrived.signal()
    _ = ended.wait(timeout: .now() + .seconds(Limits.accessLogCloseSeconds))
  }

  // A pipe that nobody reads must not hold the thread for ever; for a regular file the flag means nothing.
  fileprivate static func open(_ path: String) -> Int32 {
    if path == "-" { return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) }
    return Glibc.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o640)
  }

  /// The thread's side.
  private final class Writer {
    private let file: LineFile
    private var descriptor: Int32
    private var isFailing = false
    private var lostBefore = 0
    // A line was cut off by a failure: the next one must not be glued to it.
    private var isMidLine = false

    init(_ file: LineFile, _ descriptor: Int32) {
      self.file = file
      self.descriptor = descriptor
    }

    func run() {
      while true {
        file.arrived.wait()
        let taken = file.waiting.withLock { waiting in
          defer { waiting = Waiting(isClosing: waiting.isClosing) }
          return waiting
        }
        if !taken.bytes.isEmpty { write(taken.bytes, lines: taken.lines) }
        if taken.reopens { reopen() }
        if taken.isClosing {
          Glibc.close(descriptor)
          file.ended.signal()
          return
        }
      }
    }

    private func write(_ bytes: [UInt8], lines: Int) {
      let text = isMidLine ? [UInt8(ascii: "\n")] + bytes : bytes
      var rest = text[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
          rest = rest.dropFirst(count)
          continue
        }
        let code = errno
        if code == EINTR || (code == EAGAIN && waitForRoom()) { continue }
        isMidLine = rest.startIndex > 0 ? text[rest.startIndex - 1] != UInt8(ascii: "\n") : isMidLine
        return lose(rest.count { $0 == UInt8(ascii: "\n") }, code)
      }
      isMidLine = false
      recovered()
    }

    /// Waits for the reader of a pipe; false when the process ends meanwhile.
    private func waitForRoom() -> Bool {
      var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      return poll(&entry, 1, 200) >= 0 && !file.waiting.withLock { $0.isClosing }
    }

    private func lose(_ lines: Int, _ code: Int32) {
      let all = file.lost.add(lines, ordering: .relaxed).newValue
      guard !isFailing else { return }
      isFailing = true
      lostBefore = all - lines
      let reason = String(cString: strerror(code))
      file.logger.error(
        "cannot write the access log \"\(file.path)\": \(reason); lines are lost until it can be written")
    }

    private func recovered() {
      guard isFailing else { return }
      isFailing = false
      let lines = file.lostLines - lostBefore
      file.logger.notice("the access log \"\(file.path)\" is written again; \(lines) lines were lost")
    }

    private func reopen() {
      let opened = LineFile.open(file.path)
      guard opened >= 0 else {
        let reason = String(cString: strerror(errno))
        file.logger.error(
          "cannot reopen the access log \"\(file.path)\": \(reason); it goes on in the file that is open")
        return
      }
      Glibc.close(descriptor)
      descriptor = opened
      isMidLine = false
    }
  }
}
