import Foundation

/// Runs a program to its end; throws what it wrote when it fails.
@discardableResult
func runCommand(_ arguments: String...) throws -> String {
  var ends: [Int32] = [-1, -1]
  let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  guard socketpair(AF_UNIX, stream, 0, &ends) == 0 else { throw ClientError.system("socketpair") }
  defer { close(ends[0]) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  posix_spawn_file_actions_adddup2(&actions, 1, 2)
  var argv = arguments.map { strdup($0) } + [nil]
  defer { for string in argv { free(string) } }
  var pid: pid_t = 0
  let code = posix_spawnp(&pid, arguments[0], &actions, nil, &argv, environ)
  close(ends[1])
  guard code == 0 else { throw ClientError.system("cannot run \(arguments[0])", code) }
  var output: [UInt8] = []
  var bytes = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = recv(ends[0], &bytes, bytes.count, 0)
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { break }
    output += bytes[..<count]
  }
  var status: Int32 = 0
  while waitpid(pid, &status, 0) < 0, errno == EINTR {}
  let text = String(decoding: output, as: UTF8.self)
  guard status == 0 else { throw ClientError("\(arguments.joined(separator: " ")): \(text)") }
  return text
}
