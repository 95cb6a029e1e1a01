import CLibevent

extension HTTPMethod {
  init(_ type: evhttp_cmd_type) {
    switch type {
    case EVHTTP_REQ_GET: self = .get
    case EVHTTP_REQ_HEAD: self = .head
    case EVHTTP_REQ_POST: self = .post
    case EVHTTP_REQ_DELETE: self = .delete
    case EVHTTP_REQ_OPTIONS: self = .options
    default: self = .other
    }
  }

  /// The method's name, also of those that no route has; `OTHER` for what libevent does not know.
  static func name(_ type: evhttp_cmd_type) -> String {
    switch type {
    case EVHTTP_REQ_PUT: "PUT"
    case EVHTTP_REQ_PATCH: "PATCH"
    case EVHTTP_REQ_TRACE: "TRACE"
    default: HTTPMethod(type).name
    }
  }
}
