import CLibevent
import Glibc

extension Exchange {
  /// `Origin` and `Sec-Fetch-Site`, by which a browser says where a request comes from; of several, the first.
  ///
  /// One walk for both, since every start of an agent asks: a name's first letter settles nearly all of them.
  package func readProvenance() -> (origin: String?, site: String?) {
    var (origin, site): (UnsafeMutablePointer<CChar>?, UnsafeMutablePointer<CChar>?)
    var entry = firstHeader
    while let current = entry {
      entry = current.pointee.next.tqe_next
      guard let name = current.pointee.key else { continue }
      switch UInt8(bitPattern: name[0]) | 0x20 {
      case UInt8(ascii: "o"):
        if origin == nil, strcasecmp(name, "Origin") == 0 { origin = current.pointee.value }
      case UInt8(ascii: "s"):
        if site == nil, strcasecmp(name, "Sec-Fetch-Site") == 0 { site = current.pointee.value }
      default: break
      }
    }
    return (origin.map { String(cString: $0) }, site.map { String(cString: $0) })
  }

  /// The host that the request is for: that of a target that is a whole URL, else the `Host` header.
  package var authority: String? {
    guard let elements = uri, let host = evhttp_uri_get_host(elements) else { return header("Host") }
    let port = evhttp_uri_get_port(elements)
    let name = String(cString: host)
    return port > 0 ? "\(name):\(port)" : name
  }
}
