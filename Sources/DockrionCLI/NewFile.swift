import DockrionProgram
import Foundation

/// A file that a command writes, whole or not at all.
struct NewFile {
  let path: String
  let text: String

  /// - Throws: `CommandError` when something is at that path, a dangling link included.
  static func checkAbsent(_ path: String) throws(CommandError) {
    var info = stat()
    if lstat(path, &info) == 0 {
      throw CommandError("\(path) exists already and was left as it is; --force replaces it")
    }
    let code = errno
    if code != ENOENT { throw CommandError.system(code, "\(path): the file cannot be written") }
  }

  /// Writes the file and the directories above it.
  ///
  /// - Parameter force: replaces what is there; without it, a file that has come since is left alone.
  func write(force: Bool) throws {
    let directory = (path as NSString).deletingLastPathComponent
    if !directory.isEmpty {
      do {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
      } catch {
        throw CommandError("\(directory): the directory cannot be made: \(error.localizedDescription)")
      }
    }
    var info = stat()
    if force, stat(path, &info) == 0 {
      return try ReplacedFile(path: path).replace(with: Array(text.utf8))
    }
    let descriptor = open(path, O_WRONLY | O_CREAT | (force ? O_TRUNC : O_EXCL) | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      if errno == EEXIST { return try Self.checkAbsent(path) }
      throw CommandError.system(errno, "\(path): the file cannot be written")
    }
    defer { close(descriptor) }
    do { try writeAll(Array(text.utf8), to: descriptor, path) } catch {
      unlink(path)
      throw error
    }
  }
}

/// Writes every byte and has the disk keep them.
func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(CommandError) {
  var written = 0
  while written < bytes.count {
    let count = bytes[written...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { throw CommandError.system(errno, "\(path): the file cannot be written") }
    written += count
  }
  guard fsync(descriptor) == 0 else {
    throw CommandError.system(errno, "\(path): the file cannot be written")
  }
}

/// A file whose content is exchanged in one step: a reader sees the old or the new one, never a part.
///
/// A link stays a link: the file behind it is replaced. Mode and owner stay.
struct ReplacedFile {
  /// The path as it was given.
  let path: String
  private let target: String
  private let info: stat

  init(path: String) throws(CommandError) {
    self.path = path
    guard let resolved = realpath(path, nil) else {
      throw CommandError.system(errno, "\(path): the file cannot be found")
    }
    defer { free(resolved) }
    target = String(cString: resolved)
    var info = stat()
    guard stat(target, &info) == 0 else {
      throw CommandError.system(errno, "\(path): the file cannot be read")
    }
    guard info.st_mode & S_IFMT == S_IFREG else {
      throw CommandError("\(path): this is no regular file, so it cannot be replaced")
    }
    guard access(target, W_OK) == 0 else {
      throw CommandError.system(errno, "\(path): the file cannot be written")
    }
    self.info = info
  }

  /// - Parameter expected: what the file must still hold right before; a change by somebody else is not lost.
  func replace(with bytes: [UInt8], expected: [UInt8]? = nil) throws {
    let directory = (target as NSString).deletingLastPathComponent
    var template = Array("\(directory)/.dockrion-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else {
      throw CommandError.system(errno, "\(path): no file can be written in its directory, \(directory)")
    }
    let temporary = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    var isDone = false
    defer {
      close(descriptor)
      if !isDone { unlink(temporary) }
    }
    if info.st_uid != geteuid() || info.st_gid != getegid(),
      fchown(descriptor, info.st_uid, info.st_gid) != 0
    {
      throw CommandError.system(errno, "\(path): its owner cannot be kept, so it was not replaced")
    }
    guard fchmod(descriptor, info.st_mode & 0o7777) == 0 else {
      throw CommandError.system(errno, "\(path): its mode cannot be kept, so it was not replaced")
    }
    try writeAll(bytes, to: descriptor, path)
    if let expected {
      guard let now = FileManager.default.contents(atPath: target), Array(now) == expected else {
        throw CommandError("\(path): somebody changed the file meanwhile; nothing was written, try again")
      }
    }
    guard rename(temporary, target) == 0 else {
      throw CommandError.system(errno, "\(path): the file cannot be replaced")
    }
    isDone = true
    let parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard parent >= 0 else { return }
    // The new file is in place; some file systems cannot sync a directory, and then nothing more can be done.
    _ = fsync(parent)
    close(parent)
  }
}
