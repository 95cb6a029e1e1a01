import DockrionLoop

/// What becomes of a connection's bytes when they come in these pieces, as `RequestGate` handles them.
package struct FramingRun: Equatable {
  package private(set) var out: [UInt8] = []
  package private(set) var requests = 0
  package private(set) var refusal: FramingRefusal?
  package private(set) var isOver = false
  /// Bytes about which nothing can be said yet.
  package private(set) var waiting: [UInt8] = []

  package init(_ pieces: [ArraySlice<UInt8>], bodyBytesMax: Int = 2 << 20) {
    var framing = RequestFraming(bodyBytesMax: bodyBytesMax)
    for piece in pieces {
      waiting += piece
      take(&framing)
    }
    (requests, refusal, isOver) = (framing.requestCount, framing.refusal, framing.isOver)
  }

  package init(_ text: String) { self.init([ArraySlice(text.utf8)]) }

  private mutating func take(_ framing: inout RequestFraming) {
    var used = 0
    waiting.withUnsafeBytes { bytes in
      while used < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[used...])
        switch framing.next(rest) {
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
        case .wait: return
        }
      }
    }
    waiting.removeFirst(used)
  }

  package var refusalStatus: Int? { refusal?.status }
  package var text: String { String(decoding: out, as: UTF8.self) }
}
