import DockrionCore
import Foundation
import Glibc

/// The Python packages `dockrion_events` and `dockrion_worker`, which the program carries.
enum PythonPackages {
  /// A file of them.
  struct File: Equatable {
    /// Below the folder that is on `sys.path`.
    let path: String
    let bytes: Data
  }

  /// All of them.
  static var contents: [File] {
    files.map { file in
      // What is not Base64 is a mistake of the script, which a test finds.
      File(path: "\(file.path)", bytes: Data(base64Encoded: "\(file.base64)") ?? Data())
    }
  }

  /// The folder that holds them, unpacked where that was not done before.
  ///
  /// It belongs to this user alone, is named by what is in it, and every file is compared before it is used.
  ///
  /// - Parameter environment: says where: `XDG_CACHE_HOME`, else `HOME`, else `TMPDIR`.
  /// - Throws: `ServerError` where it cannot be written.
  static func folder(
    _ environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(ServerError) -> String {
    let contents = contents
    var problems: [String] = []
    for base in bases(environment) {
      do {
        return try unpack(contents, below: base)
      } catch {
        problems.append("\(base): \(error)")
      }
    }
    throw ServerError(
      .pythonFailed, "the Python packages cannot be unpacked: \(problems.joined(separator: "; "))",
      advice: "set XDG_CACHE_HOME to a folder that can be written")
  }

  static func bases(_ environment: [String: String]) -> [String] {
    func given(_ name: String) -> String? { environment[name].flatMap { $0.hasPrefix("/") ? $0 : nil } }
    let cache = given("XDG_CACHE_HOME") ?? given("HOME").map { "\($0)/.cache" }
    return [cache.map { "\($0)/dockrion" }].compactMap(\.self)
      + ["\(given("TMPDIR") ?? "/tmp")/dockrion-\(getuid())"]
  }

  private struct Problem: Error, CustomStringConvertible {
    let description: String

    init(_ what: String, _ code: Int32) { description = "\(what): \(String(cString: strerror(code)))" }
    init(_ description: String) { self.description = description }
  }

  private static func unpack(_ contents: [File], below base: String) throws -> String {
    try makePrivate(base)
    let folder = "\(base)/python-\(hash(contents))"
    if holds(folder, contents) { return folder }
    var template = Array("\(base)/new-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Problem("a folder cannot be made", errno) }
    let fresh = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    defer { try? FileManager.default.removeItem(atPath: fresh) }
    for file in contents {
      let path = URL(fileURLWithPath: "\(fresh)/\(file.path)")
      try FileManager.default.createDirectory(
        at: path.deletingLastPathComponent(), withIntermediateDirectories: true,
        attributes: [.posixPermissions: 0o700])
      try file.bytes.write(to: path)
    }
    if rename(fresh, folder) != 0 {
      // Another process was faster, or something else has that name.
      if holds(folder, contents) { return folder }
      guard rename(folder, "\(fresh)/replaced") == 0, rename(fresh, folder) == 0 else {
        throw Problem("\(folder) cannot be written", errno)
      }
      try? FileManager.default.removeItem(atPath: "\(folder)/replaced")
    }
    guard holds(folder, contents) else { throw Problem("what was written is not what is there") }
    return folder
  }

  /// Makes the folder where it is not there, and makes sure that nobody else can write to it.
  private static func makePrivate(_ folder: String) throws {
    try FileManager.default.createDirectory(
      atPath: URL(fileURLWithPath: folder).deletingLastPathComponent().path, withIntermediateDirectories: true
    )
    if mkdir(folder, 0o700) != 0, errno != EEXIST { throw Problem("it cannot be made", errno) }
    var facts = stat()
    guard lstat(folder, &facts) == 0 else { throw Problem("it cannot be looked at", errno) }
    guard facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == getuid(), facts.st_mode & 0o022 == 0 else {
      throw Problem("it is no folder of this user's alone")
    }
  }

  private static func holds(_ folder: String, _ contents: [File]) -> Bool {
    var facts = stat()
    guard lstat(folder, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR, facts.st_uid == getuid() else {
      return false
    }
    return contents.allSatisfy { FileManager.default.contents(atPath: "\(folder)/\($0.path)") == $0.bytes }
  }

  /// Tells versions apart; that the files are the right ones is seen by looking at them.
  private static func hash(_ contents: [File]) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for file in contents {
      for byte in Array(file.path.utf8) + [0] + file.bytes {
        hash = (hash ^ UInt64(byte)) &* 0x0100_0000_01b3
      }
    }
    return String(hash, radix: 16)
  }
}
