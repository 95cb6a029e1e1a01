import DockrionCore
import Glibc

/// The methods that routes are made of; every other one is `other`.
package enum HTTPMethod: Int, CaseIterable {
  case get, head, post, delete, options, other

  package var name: String { "\(self)".uppercased() }
}

/// The reason phrases of RFC 9110 for the statuses that are used.
package enum HTTPStatus {
  package static func phrase(_ status: Int) -> StaticString {
    switch status {
    case 200: "OK"
    case 202: "Accepted"
    case 204: "No Content"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 415: "Unsupported Media Type"
    case 417: "Expectation Failed"
    case 421: "Misdirected Request"
    case 422: "Unprocessable Content"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    default: "Unknown"
    }
  }
}

/// The `Date` header (RFC 9110, 6.6.1), put together once a second.
final class DateHeader {
  private var second = -1
  private var bytes: [UInt8] = []

  /// The whole line, for seconds since 1970.
  func line(_ seconds: Int) -> [UInt8] {
    guard seconds != second else { return bytes }
    second = seconds
    var time = time_t(seconds)
    var parts = tm()
    gmtime_r(&time, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let text =
      "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    bytes = Array("Date: \(text)\r\n".utf8)
    return bytes
  }
}
