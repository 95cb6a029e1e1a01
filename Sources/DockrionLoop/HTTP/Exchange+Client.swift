import CLibevent
import Glibc

extension Exchange {
  /// All `X-Forwarded-For` headers joined with commas; a proxy may append to the one it got or add one of its own.
  package func readForwardedFor() -> String? {
    var joined: String?
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      guard strcasecmp(current.pointee.key, "X-Forwarded-For") == 0 else { continue }
      let value = String(cString: current.pointee.value)
      joined = joined.map { $0 + "," + value } ?? value
    }
    return joined
  }
}
