import Foundation

/// A terminal with this process in front of it.
final class PseudoTerminal {
  /// The device that a child opens.
  let path: String
  private let master: Int32
  private var bytes: [UInt8] = []

  init(columns: UInt16 = 100) throws {
    // What posix_openpt, unlockpt and ptsname do on Linux; Swift's Glibc module leaves them out.
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
    var unlock: Int32 = 0
    var number: Int32 = 0
    let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    guard master >= 0, ioctl(master, setLock, &unlock) == 0, ioctl(master, getNumber, &number) == 0 else {
      throw TestFailure("no pseudo-terminal: \(String(cString: strerror(errno)))")
    }
    path = "/dev/pts/\(number)"
    var size = winsize(ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
  }

  deinit { close(master) }

  /// Everything that was shown so far, the echo of what was typed included.
  var shown: String {
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = read(master, &chunk, chunk.count)
      guard count > 0 else { break }
      bytes += chunk[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Types the text; a line feed is Enter, U+0003 is Ctrl-C, U+0004 is Ctrl-D.
  func type(_ text: String) {
    let bytes = Array(text.utf8)
    _ = write(master, bytes, bytes.count)
  }

  /// Waits until the text is on the screen.
  func wait(for text: String, within seconds: Double = 20) throws {
    guard eventually(within: seconds, { shown.contains(text) }) else {
      throw TestFailure("\"\(text)\" never came; shown is: \(shown)")
    }
  }
}
