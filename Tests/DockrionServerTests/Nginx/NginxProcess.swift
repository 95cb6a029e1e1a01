import Foundation
import Testing

/// A real nginx in front of a server or several, started from `config/nginx.conf` with other ports and paths.
///
///     try withNginx(before: server) { nginx throws in … }
final class NginxProcess {
  /// Plain HTTP.
  let port: Int
  /// HTTP/2 with a certificate made for this test.
  let tlsPort: Int
  private let directory: String
  private var process: Process

  var endpoint: Endpoint { .tcp(port) }

  /// - Parameters:
  ///   - upstreams: where dockrion is or will be; of several, each on TCP, as many as the file has examples.
  ///   - changes: what else is replaced in the file, and by what.
  init(before upstreams: [Endpoint], changes: [(old: String, new: String)] = []) throws {
    let ports = try freePorts(3)
    (port, tlsPort) = (ports[0], ports[1])
    var template = Array((NSTemporaryDirectory() + "/dockrion-nginx-XXXXXX").utf8CString)
    guard mkdtemp(&template) != nil else { throw ClientError.system("mkdtemp") }
    directory = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    // A worker is another user than root.
    chmod(directory, 0o755)
    process = Process()
    try makeCertificate()
    try configuration(before: upstreams, spare: ports[2], changes).write(
      toFile: directory + "/nginx.conf", atomically: false, encoding: .utf8)
    try start()
  }

  deinit {
    stop(SIGKILL)
    try? FileManager.default.removeItem(atPath: directory)
  }

  var errorLog: String { (try? String(contentsOfFile: directory + "/error.log", encoding: .utf8)) ?? "" }
  var certificate: String { directory + "/dockrion.crt" }

  /// Starts it, and waits until it accepts.
  func start() throws {
    process = Process()
    process.executableURL = URL(fileURLWithPath: try Self.executable())
    process.arguments = [
      "-c", directory + "/nginx.conf", "-e", directory + "/error.log", "-g", "daemon off;",
    ]
    process.standardError = FileHandle.nullDevice
    try process.run()
    let accepts = eventually(within: 10) { (try? Connection(to: endpoint)) != nil }
    guard accepts else { throw ClientError("nginx does not start: \(errorLog)") }
  }

  /// Ends it, workers included, and waits until nobody accepts; with SIGKILL clients see their connections break.
  func stop(_ signal: Int32 = SIGTERM) {
    guard process.isRunning else { return }
    let workers = workerPIDs
    kill(process.processIdentifier, signal)
    // Nobody stops the workers of a master that was killed.
    if signal == SIGKILL { for worker in workers { kill(worker, SIGKILL) } }
    process.waitUntilExit()
    // A worker that is not quite dead would still accept.
    _ = eventually(within: 10) { (try? Connection(to: endpoint)) == nil }
  }

  /// `nginx -s reload`; returns when new workers serve.
  func reload() throws {
    let before = Set(workerPIDs)
    kill(process.processIdentifier, SIGHUP)
    let reloaded = eventually(within: 10) { !Set(workerPIDs).subtracting(before).isEmpty }
    guard reloaded else { throw ClientError("nginx does not reload: \(errorLog)") }
  }

  var workerPIDs: [pid_t] {
    let pid = process.processIdentifier
    let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
    return text.split(separator: " ").compactMap { pid_t($0) }
  }

  private static func executable() throws -> String {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"]
    guard let path = places.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
      throw ClientError("nginx is not installed; scripts/install-tools test")
    }
    return path
  }

  /// The shipped file with nothing but ports and paths replaced, and the lines for several instances turned on
  /// where there are several.
  private func configuration(
    before upstreams: [Endpoint], spare: Int, _ changes: [(old: String, new: String)]
  ) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    var text = try String(contentsOf: root.appendingPathComponent("config/nginx.conf"), encoding: .utf8)
    func replace(_ old: String, _ new: String) throws {
      guard text.contains(old) else { throw ClientError("config/nginx.conf has no \"\(old)\"") }
      text = text.replacing(old, with: new)
    }
    switch upstreams[0] {
    case .tcp where upstreams.count > 1:
      try replace("    server 127.0.0.1:8080 max_fails=0;\n", "")
      try replace("# zone dockrion_tcp ", "zone dockrion_tcp ")
      for (index, upstream) in upstreams.enumerated() {
        guard case .tcp(let port) = upstream else { throw ClientError("no port: \(upstream)") }
        try replace("# server 10.0.0.\(index + 1):8080 ", "server 127.0.0.1:\(port) ")
      }
    case .tcp(let port): try replace("server 127.0.0.1:8080 ", "server 127.0.0.1:\(port) ")
    case .address(let host, let port): try replace("server 127.0.0.1:8080 ", "server \(host):\(port) ")
    case .unix(let path):
      try replace("unix:/run/dockrion/dockrion.sock ", "unix:\(path) ")
      try replace("proxy_pass http://dockrion_tcp;", "proxy_pass http://dockrion_unix;")
    }
    try replace("listen 127.0.0.1:8081;", "listen 0.0.0.0:\(port);")
    try replace("listen 443 ", "listen 127.0.0.1:\(tlsPort) ")
    try replace("listen [::]:443 ", "listen 127.0.0.1:\(spare) ")
    try replace("/etc/nginx/dockrion.", directory + "/dockrion.")
    try replace("/var/log/nginx/", directory + "/")
    try replace("/var/lib/nginx/", directory + "/")
    try replace("/run/nginx.pid", directory + "/nginx.pid")
    for (old, new) in changes { try replace(old, new) }
    return text
  }

  private func makeCertificate() throws {
    let result = try runProgram(
      "openssl",
      [
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
        directory + "/dockrion.key", "-out", certificate,
      ])
    guard result.code == 0 else { throw ClientError("openssl: \(result.output)") }
  }
}

/// Runs `body` with nginx in front of the servers, and then stops nginx.
func withNginx(
  before servers: ServerProcess..., changes: [(old: String, new: String)] = [],
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (NginxProcess) throws -> Void
) throws {
  let nginx = try NginxProcess(before: servers.map(\.endpoint), changes: changes)
  defer { nginx.stop() }
  do {
    try body(nginx)
  } catch {
    Issue.record("\(error); nginx: \(nginx.errorLog.suffix(1000))", sourceLocation: sourceLocation)
  }
}

/// Ports that were free a moment ago.
func freePorts(_ count: Int) throws -> [Int] {
  var descriptors: [Int32] = []
  defer { for descriptor in descriptors { close(descriptor) } }
  return try (0..<count).map { _ in
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    descriptors.append(descriptor)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
      }
    }
    guard bound else { throw ClientError.system("bind") }
    return Int(UInt16(bigEndian: address.sin_port))
  }
}

/// Runs a program to its end; its output and what it says on standard error together.
func runProgram(_ name: String, _ arguments: [String]) throws -> (code: Int32, output: String) {
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [name] + arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  process.standardError = pipe
  try process.run()
  let output = pipe.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return (process.terminationStatus, String(decoding: output, as: UTF8.self))
}
