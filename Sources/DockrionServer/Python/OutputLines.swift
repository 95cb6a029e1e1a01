import DockrionCore
import DockrionLoop
import Glibc

/// What a process writes to its standard output or standard error, line by line.
final class OutputLines {
  private let descriptor: Int32
  private var watch: LoopWatch?
  private var line: [UInt8] = []
  private var cut = 0
  private let body: (String) -> Void

  /// - Parameters:
  ///   - descriptor: belongs to this from now on.
  ///   - body: gets each line, without its end.
  init(_ loop: EventLoop, _ descriptor: Int32, _ body: @escaping (String) -> Void) {
    self.descriptor = descriptor
    self.body = body
    watch = LoopWatch(loop, descriptor, .read) { [unowned self] _ in take() }
    watch?.start()
  }

  deinit { close() }

  /// Takes what is there, and closes the descriptor.
  func close() {
    guard watch != nil else { return }
    while watch != nil, take() {}
    end()
  }

  /// True when there may be more.
  @discardableResult
  private func take() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 16 << 10)
    let count = read(descriptor, &bytes, bytes.count)
    if count > 0 {
      take(bytes[..<count])
      return true
    }
    if count == 0 || (errno != EAGAIN && errno != EINTR) { end() }
    return false
  }

  private func take(_ bytes: ArraySlice<UInt8>) {
    for part in bytes.split(separator: 10, omittingEmptySubsequences: false).dropLast() {
      add(part)
      tell()
    }
    add(bytes[(bytes.lastIndex(of: 10).map { $0 + 1 } ?? bytes.startIndex)...])
  }

  private func add(_ part: ArraySlice<UInt8>) {
    let room = Limits.pythonLineBytesMax - line.count
    line += part.prefix(room)
    cut += max(0, part.count - room)
  }

  private func tell() {
    let text = String(decoding: line, as: UTF8.self)
    let bytes = line.count + cut
    let wasCut = cut > 0
    line.removeAll(keepingCapacity: true)
    cut = 0
    if !text.isEmpty { body(wasCut ? "\(text) … [cut: \(bytes) bytes]" : text) }
  }

  private func end() {
    guard watch != nil else { return }
    watch = nil
    Glibc.close(descriptor)
    tell()
  }
}
