import Foundation

/// A headless Chromium with one page, driven over its DevTools pipe.
///
///     let browser = try Browser()
///     try browser.open("http://127.0.0.1:8080/")
///     let title = try browser.evaluate("document.title")
final class Browser {
  /// What a person would find in red in the browser's console: errors, exceptions, resources that did not load.
  private(set) var complaints: [String] = []
  /// The status of every response so far, in the order of their heads.
  private(set) var responses: [(url: String, status: Int)] = []
  private let pid: pid_t
  private let channel: Int32
  private let directory: String
  private var session = ""
  private var waiting: [UInt8] = []
  private var nextCall = 1
  private var loadedPages = 0

  init() throws {
    directory = try makeDirectory()
    var ends: [Int32] = [-1, -1]
    let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, stream, 0, &ends) == 0 else { throw ClientError.system("socketpair") }
    channel = ends[0]
    defer { close(ends[1]) }
    pid = try Self.spawn(in: directory, channel: ends[1])
    let target = try call("Target.createTarget", #"{"url":"about:blank"}"#)["targetId"]?.string ?? ""
    let attached = try call("Target.attachToTarget", #"{"targetId":"\#(target)","flatten":true}"#)
    session = attached["sessionId"]?.string ?? ""
    for domain in ["Page", "Runtime", "Log", "Network"] { try call("\(domain).enable") }
  }

  deinit {
    _ = try? call("Browser.close", within: 5)
    close(channel)
    var status: Int32 = 0
    // Its helpers are in its process group.
    if !eventually(within: 5, { waitpid(pid, &status, WNOHANG) == pid }) {
      kill(-pid, SIGKILL)
      waitpid(pid, &status, 0)
    }
    try? FileManager.default.removeItem(atPath: directory)
  }

  /// Goes to a page and waits until it and all that it names has loaded.
  func open(_ url: String) throws {
    let before = loadedPages
    let answer = try call("Page.navigate", #"{"url":\#(quotedJSON(url))}"#)
    if let problem = answer["errorText"]?.string { throw ClientError("\(url): \(problem)") }
    let deadline = Deadline.in(20)
    while loadedPages == before { take(try message(until: deadline)) }
  }

  /// The value of a JavaScript expression; of a promise, what it comes to.
  @discardableResult
  func evaluate(_ expression: String, within seconds: Double = 20) throws -> JSON {
    let parameters =
      #"{"expression":\#(quotedJSON(expression)),"awaitPromise":true,"returnByValue":true,"userGesture":true}"#
    let answer = try call("Runtime.evaluate", parameters, within: seconds)
    if let exception = answer["exceptionDetails"] { throw ClientError("\(expression): \(exception)") }
    return answer["result"]?["value"] ?? .null
  }

  @discardableResult
  private func call(_ method: String, _ parameters: String = "{}", within seconds: Double = 20) throws -> JSON
  {
    let id = nextCall
    nextCall += 1
    let target = session.isEmpty || method.hasPrefix("Browser.") ? "" : #","sessionId":"\#(session)""#
    var bytes = Array(#"{"id":\#(id),"method":"\#(method)","params":\#(parameters)\#(target)}"#.utf8) + [0]
    while !bytes.isEmpty {
      let count = send(channel, bytes, bytes.count, Int32(MSG_NOSIGNAL))
      guard count > 0 else { throw ClientError.system("the browser takes no commands") }
      bytes.removeFirst(count)
    }
    let deadline = Deadline.in(seconds)
    while true {
      let message = try message(until: deadline)
      guard message["id"]?.int == id else {
        take(message)
        continue
      }
      guard let result = message["result"] else { throw ClientError("\(method): \(message)") }
      return result
    }
  }

  /// Messages are JSON, each with a zero byte behind it.
  private func message(until deadline: Deadline) throws -> JSON {
    while true {
      if let end = waiting.firstIndex(of: 0) {
        defer { waiting.removeFirst(end + 1) }
        return try JSON(bytes: Array(waiting[..<end]))
      }
      var entry = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, deadline.remainingMilliseconds) > 0 else {
        throw ClientError("the browser says nothing")
      }
      var bytes = [UInt8](repeating: 0, count: 1 << 16)
      let count = recv(channel, &bytes, bytes.count, 0)
      guard count > 0 else {
        let log = (try? String(contentsOfFile: directory + "/stderr", encoding: .utf8)) ?? ""
        throw ClientError("the browser has ended: \(log.suffix(2000))")
      }
      waiting += bytes[..<count]
    }
  }

  private func take(_ message: JSON) {
    let parameters = message["params"] ?? .null
    switch message["method"]?.string {
    case "Page.loadEventFired": loadedPages += 1
    case "Runtime.exceptionThrown", "Network.loadingFailed": complaints.append("\(parameters)")
    case "Runtime.consoleAPICalled" where ["error", "assert"].contains(parameters["type"]?.string):
      complaints.append("\(parameters)")
    case "Log.entryAdded" where ["error", "warning"].contains(parameters["entry"]?["level"]?.string):
      complaints.append("\(parameters)")
    case "Network.responseReceived":
      let response = parameters["response"] ?? .null
      responses.append((response["url"]?.string ?? "", response["status"]?.int ?? 0))
    default: break
    }
  }

  /// Debian's name, and others'.
  private static func executable() throws -> String {
    let places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
    guard let found = places.first(where: { access($0, X_OK) == 0 }) else {
      throw ClientError("no chromium; scripts/install-tools test installs it")
    }
    return found
  }

  private static func spawn(in directory: String, channel: Int32) throws -> pid_t {
    // What a CI machine has no use for, or no permission.
    let arguments = [
      try executable(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
      "--no-first-run", "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
      "--user-data-dir=\(directory)/profile", "--remote-debugging-pipe", "about:blank",
    ]
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // Before 0, 1 and 2 are made: the channel's own number may be any.
    posix_spawn_file_actions_adddup2(&actions, channel, 3)
    posix_spawn_file_actions_adddup2(&actions, 3, 4)
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 2, directory + "/stderr", O_WRONLY | O_CREAT, 0o600)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    let variables = ProcessInfo.processInfo.environment.merging(["HOME": directory]) { _, given in given }
    var argv = arguments.map { strdup($0) } + [nil]
    var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for string in argv + envp { free(string) } }
    var pid: pid_t = 0
    let code = posix_spawn(&pid, arguments[0], &actions, &attributes, &argv, &envp)
    guard code == 0 else { throw ClientError.system("cannot start \(arguments[0])", code) }
    return pid
  }
}

/// A string as JSON and JavaScript write it.
func quotedJSON(_ text: String) -> String {
  let bytes = (try? JSONEncoder().encode(text)) ?? Data()
  return String(decoding: bytes, as: UTF8.self)
}
