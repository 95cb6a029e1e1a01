import CLinux
import DockrionCore
import Glibc

/// The system calls that starting and talking to processes take.
enum Descriptors {
  /// Two connected sockets, which no program that is executed inherits; the first never waits.
  static func pair(_ type: __socket_type) throws(ServerError) -> (near: Int32, far: Int32) {
    var both: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &both) == 0 else {
      throw ServerError(.pythonFailed, errno: errno, "cannot make a socket for a Python process")
    }
    neverWait(both[0])
    return (both[0], both[1])
  }

  /// A pipe, which no program that is executed inherits; reading it never waits.
  static func pipe() throws(ServerError) -> (reading: Int32, writing: Int32) {
    var both: [Int32] = [-1, -1]
    guard pipe2(&both, O_CLOEXEC) == 0 else {
      throw ServerError(.pythonFailed, errno: errno, "cannot make a pipe for a Python process")
    }
    neverWait(both[0])
    return (both[0], both[1])
  }

  private static func neverWait(_ descriptor: Int32) {
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
  }

  /// Sends one packet with descriptors, without waiting; returns what `sendmsg` does.
  static func send(_ bytes: [UInt8], _ rights: [Int32], to socket: Int32) -> Int {
    var bytes = bytes
    // A `cmsghdr` (length, level, type) and the descriptors, in words of eight bytes.
    let length = MemoryLayout<cmsghdr>.size + rights.count * MemoryLayout<Int32>.size
    var control = [UInt64](repeating: 0, count: (length + 7) / 8)
    control.withUnsafeMutableBytes { raw in
      raw.storeBytes(of: length, as: Int.self)
      raw.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
      raw.storeBytes(of: Int32(SCM_RIGHTS), toByteOffset: 12, as: Int32.self)
      for (index, right) in rights.enumerated() {
        raw.storeBytes(of: right, toByteOffset: 16 + index * 4, as: Int32.self)
      }
    }
    return bytes.withUnsafeMutableBytes { data in
      control.withUnsafeMutableBytes { control in
        var part = iovec(iov_base: data.baseAddress, iov_len: data.count)
        return withUnsafeMutablePointer(to: &part) { part in
          var message = msghdr()
          message.msg_iov = part
          message.msg_iovlen = 1
          if !rights.isEmpty {
            message.msg_control = control.baseAddress
            message.msg_controllen = control.count
          }
          return sendmsg(socket, &message, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        }
      }
    }
  }

  /// Starts a program in a process group of its own.
  ///
  /// - Parameters:
  ///   - descriptors: what is 1, 2 and so on there; 0 is `/dev/null`.
  static func spawn(
    _ program: String, _ arguments: [String], in folder: String, _ environment: [String: String],
    descriptors: [Int32]
  ) throws(ServerError) -> pid_t {
    // Above the numbers that they are copied to.
    let high = descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 32) }
    defer { for descriptor in high { close(descriptor) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addchdir_np(&actions, folder)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for (index, descriptor) in high.enumerated() {
      posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(index + 1))
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var (none, all) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    posix_spawnattr_setflags(&attributes, Int16(flags))
    var argv = ([program] + arguments).map { strdup($0) } + [nil]
    var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for text in argv + envp { free(text) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, program, &actions, &attributes, &argv, &envp)
    guard code == 0 else {
      throw ServerError(.pythonFailed, errno: code, "cannot start \(program) in \(folder)")
    }
    return pid
  }
}
