import Foundation

/// A `redis-server` of its own, with its data in a directory of its own.
///
///     let redis = try RedisProcess(.init(appendOnly: .always))
///     redis.kill()
///     try redis.start()  // on the same port, with the data that it had
///
/// It ends when the last reference goes.
final class RedisProcess {
  enum AppendOnly: String { case no, everysec, always }

  struct Options {
    /// When a write reaches the file: with `always`, before it is answered.
    var appendOnly = AppendOnly.no
    /// What `AUTH password` takes, for the user `default`.
    var password: String?
    /// A further user.
    var user: (name: String, password: String)?
    /// What that user may do, in the words of an ACL.
    var rule = "~* &* +@all"
    /// Further lines of its configuration.
    var lines: [String] = []
    /// Watches other Redis servers instead of keeping data.
    var isSentinel = false
    /// A Unix socket instead of a port.
    var isOnSocket = false
  }

  let options: Options
  private(set) var endpoint = Endpoint.tcp(0)
  private let directory: String
  private var pid: pid_t = 0
  private var connection: RedisConnection?

  init(_ options: Options = Options()) throws {
    self.options = options
    directory = try makeDirectory()
    if options.isOnSocket {
      endpoint = .unix(directory + "/redis.sock")
      try start()
      return
    }
    // Another test may take the port between the look and the start.
    var attemptsLeft = 5
    while pid == 0 {
      endpoint = .tcp(try freePort())
      attemptsLeft -= 1
      do {
        try start()
      } catch {
        if attemptsLeft == 0 { throw error }
      }
    }
  }

  deinit {
    kill()
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// 0 when it listens on a Unix socket.
  var port: Int {
    guard case .tcp(let port) = endpoint else { return 0 }
    return port
  }

  /// What `streaming.redis.url` takes, with the credentials that the options name.
  var url: String {
    let credentials =
      if let user = options.user {
        "\(percentEncoded(user.name)):\(percentEncoded(user.password))@"
      } else if let password = options.password {
        ":\(percentEncoded(password))@"
      } else {
        ""
      }
    return url(credentials: credentials)
  }

  /// - Parameter credentials: as they stand in the URL, with their `@`.
  func url(credentials: String, database: Int = 0) -> String {
    switch endpoint {
    case .unix(let path): "unix://\(path)"
    default: "redis://\(credentials)127.0.0.1:\(port)/\(database)"
    }
  }

  var log: String {
    String(decoding: FileManager.default.contents(atPath: directory + "/log") ?? Data(), as: UTF8.self)
  }

  /// Starts it, again after a `kill()`, and waits until it answers.
  func start() throws {
    precondition(pid == 0, "redis-server runs already")
    try configuration.write(toFile: directory + "/redis.conf", atomically: false, encoding: .utf8)
    pid = try spawnRedis(
      [directory + "/redis.conf"] + (options.isSentinel ? ["--sentinel"] : []), logFile: directory + "/log")
    var refusal = ""
    let answers = try eventually(within: 15) {
      var status: Int32 = 0
      if waitpid(pid, &status, WNOHANG) == pid {
        pid = 0
        throw ClientError("redis-server ended at its start: \(log.suffix(1000))")
      }
      do {
        return try command("PING") == .text("PONG")
      } catch {
        refusal = "\(error)"
        return false
      }
    }
    if !answers {
      kill()
      throw ClientError("redis-server does not answer: \(refusal) \(log.suffix(1000))")
    }
  }

  /// Ends it as `kill -9` does, and waits until it is gone; what `appendOnly` has not kept is lost.
  func kill() {
    connection = nil
    guard pid > 0 else { return }
    Glibc.kill(pid, SIGKILL)
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    pid = 0
  }

  /// Stops it where it is: connections stay open, and nothing is answered.
  func pause() { if pid > 0 { Glibc.kill(pid, SIGSTOP) } }

  func resume() { if pid > 0 { Glibc.kill(pid, SIGCONT) } }

  /// One command on the tests' own connection; throws what Redis refuses.
  ///
  ///     try redis.command("HGET", "key", "field")
  @discardableResult
  func command(_ words: String..., database: Int = 0, within seconds: Double = 5) throws -> RedisValue {
    if let connection, connection.database == database {
      do {
        return try connection.command(words, within: seconds)
      } catch is ClientError {
        // The server was started anew, or `CLIENT KILL` met this connection too.
        self.connection = nil
      }
    }
    let fresh = try RedisConnection(to: endpoint, options, database: database)
    connection = fresh
    return try fresh.command(words, within: seconds)
  }

  private var configuration: String {
    var lines = [
      "dir \(directory)", "daemonize no", "save \"\"", "databases 16", "loglevel notice",
      "appendonly \(options.appendOnly == .no ? "no" : "yes")",
      "appendfsync \(options.appendOnly == .no ? "no" : options.appendOnly.rawValue)",
    ]
    switch endpoint {
    case .unix(let path): lines += ["port 0", "unixsocket \(path)"]
    default: lines += ["bind 127.0.0.1", "port \(port)"]
    }
    if let password = options.password { lines.append("requirepass \(quoted(password))") }
    if let user = options.user {
      lines.append("user \(user.name) on \(quoted(">" + user.password)) \(options.rule)")
    }
    lines += options.lines
    return lines.joined(separator: "\n") + "\n"
  }
}

/// A word of `redis.conf` that may hold spaces and quotes.
private func quoted(_ text: String) -> String {
  "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
}

/// A part of a URL in which everything but letters, digits and `-._~` is escaped.
func percentEncoded(_ text: String) -> String {
  let plain = CharacterSet(charactersIn: "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
  return text.addingPercentEncoding(withAllowedCharacters: plain) ?? text
}

/// A port below those that the system gives to outgoing connections: one of these could take it while its server is
/// down, and a client that retries could even connect to itself.
func freePort() throws -> Int {
  for _ in 0..<100 {
    let port = Int.random(in: 15_000..<32_000)
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw ClientError.system("socket") }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    if result == 0 { return port }
  }
  throw ClientError("no free port")
}

private func spawnRedis(_ arguments: [String], logFile: String) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
  posix_spawn_file_actions_addopen(&actions, 1, logFile, O_WRONLY | O_CREAT | O_APPEND, 0o600)
  posix_spawn_file_actions_adddup2(&actions, 1, 2)
  var argv = (["redis-server"] + arguments).map { strdup($0) } + [nil]
  defer { for string in argv { free(string) } }
  var pid: pid_t = 0
  let code = posix_spawnp(&pid, "redis-server", &actions, nil, &argv, environ)
  if code == ENOENT {
    throw ClientError("these tests need redis-server; `scripts/install-tools test` installs it")
  }
  guard code == 0 else { throw ClientError.system("cannot start redis-server", code) }
  return pid
}

extension RedisProcess {
  /// How often each command was carried out since `CONFIG RESETSTAT`, also within scripts.
  func commandCalls() throws -> [String: Int] {
    var calls: [String: Int] = [:]
    for line in try command("INFO", "commandstats").text?.split(whereSeparator: \.isNewline) ?? [] {
      // cmdstat_sadd:calls=40,usec=…
      guard let match = line.firstMatch(of: /^cmdstat_(\w+):calls=(\d+)/) else { continue }
      calls[String(match.1)] = Int(match.2)
    }
    return calls
  }
}
