import DockrionCore
import Glibc

/// What a person is told about a start: what to do when it fails, and what looks unwise when it does not.
enum StartAdvice {
  /// Descriptors that a server needs besides those of its connections, about.
  static let ownDescriptors = 64
  /// Connections that a server takes however few descriptors it has.
  static let connectionsMin = 16

  /// What to do about an address that cannot be listened on; nil where the system's own words say it.
  static func binding(_ code: Int32) -> String? {
    switch code {
    case EADDRINUSE: "stop what listens there, or take another port: --port, or expose.port in the Dockfile"
    case EACCES:
      "ports below 1024 need a privilege; take a higher one: --port, or expose.port in the Dockfile"
    case EADDRNOTAVAIL: "this machine has no such address; see --host, or expose.host in the Dockfile"
    default: nil
    }
  }

  /// How many connections there is room for, and a sentence where those are fewer than were asked for.
  static func connections(_ runtime: Dockfile.Runtime, descriptors: Int) -> (count: Int, warning: String?) {
    let most = max(connectionsMin, descriptors - ownDescriptors)
    guard most < runtime.maxConnections else { return (runtime.maxConnections, nil) }
    return (
      most,
      "the descriptor limit of \(descriptors) leaves room for \(most) connections, where runtime.max_connections "
        + "asks for \(runtime.maxConnections); raise the hard limit (ulimit -Hn, systemd's LimitNOFILE) or lower it"
    )
  }

  /// A sentence where anybody on the network may call.
  static func openAddress(_ host: String, _ place: String) -> String? {
    guard isAny(host) else { return nil }
    return
      "\(place) takes calls from every network of this machine, and nobody is asked for a key; set auth.mode to "
      + "api_key, or expose.host to 127.0.0.1 behind a proxy that asks"
  }

  /// True for 0.0.0.0 and ::, however they are written.
  static func isAny(_ host: String) -> Bool {
    var four = in_addr()
    if inet_pton(AF_INET, host, &four) == 1 { return four.s_addr == 0 }
    var six = in6_addr()
    guard inet_pton(AF_INET6, host, &six) == 1 else { return false }
    return withUnsafeBytes(of: six) { $0.allSatisfy { $0 == 0 } }
  }
}
