import CLibevent
import Glibc

/// Stands between a socket and evhttp: what comes in is looked at before evhttp sees it.
///
/// It is called by the input buffer, before the bufferevent calls evhttp. Nearly always the bytes are whole requests or
/// parts of a body, and stay where they are. Everything else is taken out and kept here until `RequestFraming` knows
/// what evhttp may have of it.
final class RequestGate {
  private(set) var framing: RequestFraming
  /// Told of all bytes that come in.
  unowned var connection: Connection?
  private let input: OpaquePointer
  private var callback: OpaquePointer?
  // The beginning of a head or of a chunk's line.
  private var held: [UInt8] = []
  private var isRewriting = false

  /// - Parameter bodyBytesMax: bytes of a body; 413 above it.
  init(_ buffer: OpaquePointer, bodyBytesMax: Int) {
    framing = RequestFraming(bodyBytesMax: bodyBytesMax)
    input = bufferevent_get_input(buffer)
    callback = evbuffer_add_cb(
      input,
      { _, change, me in
        guard let added = change?.pointee.n_added, added > 0 else { return }
        Unmanaged<RequestGate>.fromOpaque(me!).takeUnretainedValue().received(added)
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// Bytes that evhttp has not been given yet.
  var heldCount: Int { held.count }

  /// Ends the watch over the input, which outlives this object.
  func detach() {
    if let callback { evbuffer_remove_cb_entry(input, callback) }
    callback = nil
    connection = nil
  }

  /// The last `count` bytes of the input are new.
  private func received(_ count: Int) {
    if isRewriting { return }
    connection?.receiving(count)
    if held.isEmpty {
      if framing.passWithinBody(count) { return }
      if let bytes = newBytes(count) {
        var passed = 0
        while passed < count {
          let step = framing.next(bytes.part(passed, bytes.count))
          guard case .pass(let more) = step else {
            return rewrite(takeOut(count - passed), step)
          }
          passed += more
        }
        return
      }
    }
    held += takeOut(count)
    rewrite(held, nil)
  }

  /// The newest bytes of the input; nil when they do not lie together.
  private func newBytes(_ count: Int) -> UnsafeRawBufferPointer? {
    var extent = iovec()
    let before = evbuffer_get_length(input) - count
    var start = evbuffer_ptr()
    if before > 0, evbuffer_ptr_set(input, &start, before, EVBUFFER_PTR_SET) != 0 { return nil }
    let extents =
      before > 0
      ? evbuffer_peek(input, count, &start, &extent, 1) : evbuffer_peek(input, count, nil, &extent, 1)
    guard extents == 1, extent.iov_len >= count else { return nil }
    return UnsafeRawBufferPointer(start: extent.iov_base, count: count)
  }

  /// Takes the newest bytes out of the input.
  private func takeOut(_ count: Int) -> [UInt8] {
    isRewriting = true
    defer { isRewriting = false }
    let before = evbuffer_get_length(input) - count
    var passed: OpaquePointer?
    if before > 0 {
      passed = evbuffer_new()
      evbuffer_remove_buffer(input, passed, before)
    }
    let taken = [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      filled = max(0, Int(evbuffer_remove(input, bytes.baseAddress, count)))
    }
    if let passed {
      evbuffer_add_buffer(input, passed)
      evbuffer_free(passed)
    }
    return taken
  }

  /// Gives evhttp what it may have of these bytes, and keeps what nothing can be said about.
  ///
  /// - Parameter first: what has been said about the first of them.
  private func rewrite(_ bytes: [UInt8], _ first: RequestFraming.Step?) {
    var out: [UInt8] = []
    var used = 0
    var said = first
    bytes.withUnsafeBytes { bytes in
      while used < bytes.count {
        let rest = bytes.part(used, bytes.count)
        switch said ?? framing.next(rest) {
        case .pass(let count):
          out += rest[..<count]
          used += count
        case .replace(let count, let replacement):
          out += replacement
          used += count
        case .refuse(let standIn):
          out += standIn
          used = bytes.count
        case .drop: used = bytes.count
        case .wait:
          if used > 0 || held.count != bytes.count { held = Array(rest) }
          return
        }
        said = nil
      }
      held = []
    }
    if !out.isEmpty {
      isRewriting = true
      evbuffer_add(input, out, out.count)
      isRewriting = false
    }
    // What was left out does not wait here.
    connection?.countReceived()
  }
}
