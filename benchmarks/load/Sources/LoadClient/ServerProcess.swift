import Foundation

/// What the system says of the server's process.
public struct ServerProcess: Sendable {
  public let pid: Int32

  /// - Throws: `LoadError` when there is no such process.
  public init(pid: Int32) throws {
    self.pid = pid
    _ = try cpuSeconds()
  }

  /// User and system time of all threads so far.
  public func cpuSeconds() throws -> Double {
    let text = try read("stat")
    // The name, in brackets, may hold spaces.
    guard let end = text.lastIndex(of: ")") else { throw LoadError("/proc/\(pid)/stat: no name in brackets") }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
      throw LoadError("/proc/\(pid)/stat: no times")
    }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  public func residentBytes() throws -> Double {
    for line in try read("status").split(separator: "\n") where line.hasPrefix("VmRSS:") {
      if let kilobytes = Double(line.filter(\.isNumber)) { return kilobytes * 1024 }
    }
    throw LoadError("/proc/\(pid)/status: no VmRSS")
  }

  private func read(_ name: String) throws -> String {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/\(name)", encoding: .utf8) else {
      throw LoadError("there is no process \(pid)")
    }
    return text
  }
}

extension Loop {
  /// One sample without labels of the server's `/metrics`; nil where it has none.
  public func metric(_ name: String) throws -> Double? {
    let reply = try request(requestBytes("GET", "/metrics", headers: ["Connection: close"]))
    guard reply.status == 200 else { return nil }
    for line in reply.body.split(separator: "\n") where line.hasPrefix(name + " ") {
      return Double(line.dropFirst(name.count + 1))
    }
    return nil
  }
}
