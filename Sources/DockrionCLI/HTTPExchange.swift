import CCurl
import Glibc

/// One request and its reply, which is handed on piece by piece as it arrives.
///
///     let exchange = try HTTPExchange(request)
///     guard try exchange.head().status == 200 else { … }
///     while let bytes = try exchange.bytes() { … }       // waits; nil at the reply's end
///
/// Everything happens on the thread that asks, and nothing is read ahead of it: a sender is held up by a slow reader.
/// Proxies come from the environment (`http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`). No redirect is followed.
final class HTTPExchange {
  private let easy: UnsafeMutableRawPointer
  private let multi: UnsafeMutableRawPointer
  private var fields: UnsafeMutablePointer<curl_slist>?
  /// Where libcurl writes what went wrong.
  private let sentence: UnsafeMutableBufferPointer<CChar>
  private let receiver = Receiver()
  private let idleSeconds: Double
  private var heardAt = HTTPExchange.now
  /// How it ended.
  private var result: CURLcode?

  private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// Sends the request as the reply is asked for.
  ///
  /// - Throws: `ConnectionProblem` when libcurl takes it not at all.
  init(_ request: HTTPRequest) throws(ConnectionProblem) {
    guard Self.isReady, let easy = curl_easy_init(), let multi = curl_multi_init() else {
      throw ConnectionProblem("libcurl cannot be set up")
    }
    (self.easy, self.multi) = (easy, multi)
    sentence = .allocate(capacity: Int(CURL_ERROR_SIZE))
    sentence.initialize(repeating: 0)
    idleSeconds = request.idleSeconds
    guard configure(request), curl_multi_add_handle(multi, easy) == CURLM_OK else {
      throw ConnectionProblem("libcurl does not take the request")
    }
  }

  deinit {
    curl_multi_remove_handle(multi, easy)
    curl_easy_cleanup(easy)
    curl_multi_cleanup(multi)
    curl_slist_free_all(fields)
    sentence.deallocate()
  }

  /// The reply's head; waits for it.
  ///
  /// - Throws: `ConnectionProblem` when there is no reply.
  func head() throws(ConnectionProblem) -> HTTPHead {
    while true {
      if let head = receiver.head { return head }
      if let result { throw problem(result) ?? ConnectionProblem("the connection was closed before a reply") }
      try turn()
    }
  }

  /// The next bytes of the reply, as soon as there are some; nil at its end.
  ///
  /// - Throws: `ConnectionProblem` when the connection broke before the end.
  func bytes() throws(ConnectionProblem) -> [UInt8]? {
    while true {
      // What came before a break is read before it.
      if let bytes = receiver.takeBytes() { return bytes }
      if let result {
        if let problem = problem(result) { throw problem }
        return nil
      }
      try turn()
    }
  }

  // MARK: libcurl

  private func configure(_ request: HTTPRequest) -> Bool {
    for (name, value) in request.fields + [("Expect", "")] {
      // A name alone takes the field out: a server that knows no 100 would cost a second.
      guard let longer = curl_slist_append(fields, value.isEmpty ? "\(name):" : "\(name): \(value)") else {
        return false
      }
      fields = longer
    }
    let context = Unmanaged.passUnretained(receiver).toOpaque()
    var codes = [
      dockrion_curl_set_text(easy, CURLOPT_URL, request.url.absoluteString),
      dockrion_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0),
      dockrion_curl_set_long(easy, CURLOPT_CONNECTTIMEOUT, Self.connectSeconds),
      dockrion_curl_set_long(easy, CURLOPT_TCP_KEEPALIVE, 1),
      // A proxy gets none of the server's fields, and its own reply is not the server's.
      dockrion_curl_set_long(easy, CURLOPT_HEADEROPT, Int(CURLHEADER_SEPARATE)),
      dockrion_curl_set_long(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1),
      dockrion_curl_set_list(easy, CURLOPT_HTTPHEADER, fields),
      dockrion_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, sentence.baseAddress),
      dockrion_curl_set_receiver(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
        Receiver.take(bytes, size * count, context, isBody: false)
      },
      dockrion_curl_set_pointer(easy, CURLOPT_HEADERDATA, context),
      dockrion_curl_set_receiver(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
        Receiver.take(bytes, size * count, context, isBody: true)
      },
      dockrion_curl_set_pointer(easy, CURLOPT_WRITEDATA, context),
    ]
    if let body = request.body {
      codes.append(dockrion_curl_set_long(easy, CURLOPT_POST, 1))
      codes.append(dockrion_curl_set_size(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(body.count)))
      // It is copied, so that nothing here has to outlive the call.
      body.withUnsafeBytes { bytes in
        let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress)
        codes.append(dockrion_curl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, start))
      }
    }
    if request.method != (request.body == nil ? "GET" : "POST") {
      codes.append(dockrion_curl_set_text(easy, CURLOPT_CUSTOMREQUEST, request.method))
    }
    return codes.allSatisfy { $0 == CURLE_OK }
  }

  /// Seconds until a server has to have taken the connection.
  private static let connectSeconds = 60

  /// Lets libcurl do what can be done, and waits when that was nothing.
  private func turn() throws(ConnectionProblem) {
    let before = receiver.count
    var running: Int32 = 0
    guard curl_multi_perform(multi, &running) == CURLM_OK else {
      throw ConnectionProblem("libcurl cannot go on")
    }
    var waiting: Int32 = 0
    while let message = curl_multi_info_read(multi, &waiting) {
      guard message.pointee.msg == CURLMSG_DONE else { continue }
      result = dockrion_curl_result(message)
    }
    if result != nil { return }
    if receiver.count != before {
      heardAt = Self.now
      return
    }
    let left = heardAt + idleSeconds - Self.now
    guard left > 0 else { throw ConnectionProblem("nothing has come for \(Int(idleSeconds)) s") }
    curl_multi_poll(multi, nil, 0, Int32(min(left * 1000 + 1, 60_000)), nil)
  }

  private func problem(_ code: CURLcode) -> ConnectionProblem? {
    if code == CURLE_OK { return nil }
    if let refusal = receiver.refusal { return ConnectionProblem(refusal) }
    if code == CURLE_OUT_OF_MEMORY, receiver.head == nil {
      return ConnectionProblem("the reply's head has a line of more than \(CURL_MAX_HTTP_HEADER) bytes")
    }
    let words = sentence.first == 0 ? curl_easy_strerror(code) : UnsafePointer(sentence.baseAddress)
    return ConnectionProblem(words.map { String(cString: $0) } ?? "libcurl says \(code.rawValue)")
  }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// What libcurl's callbacks write into.
private final class Receiver {
  private var reader = HTTPHeadReader()
  private var bytes: [UInt8] = []
  /// How often something came.
  private(set) var count = 0
  private(set) var refusal: String?

  var head: HTTPHead? { reader.head }

  func takeBytes() -> [UInt8]? {
    defer { bytes = [] }
    return bytes.isEmpty ? nil : bytes
  }

  /// Where a callback enters. Another count than what was given ends the transfer.
  static func take(
    _ start: UnsafeMutablePointer<CChar>?, _ count: Int, _ context: UnsafeMutableRawPointer?, isBody: Bool
  ) -> Int {
    guard let context else { return 0 }
    let receiver = Unmanaged<Receiver>.fromOpaque(context).takeUnretainedValue()
    let piece = UnsafeRawBufferPointer(start: start, count: count)
    receiver.count += 1
    if isBody {
      receiver.bytes += piece
    } else {
      receiver.refusal = receiver.reader.take(line: piece)
    }
    return receiver.refusal == nil ? count : 0
  }
}
