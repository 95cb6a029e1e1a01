import DockrionCore
import Foundation
import TestSupport
import Testing

@testable import DockrionServer

/// The bytes between the server and a worker, without either.
@Suite struct PythonFrameTests {
  private struct Seen: Equatable {
    let frame: PythonFrame
    let payload: [UInt8]
  }

  static func bytes(
    _ kind: UInt8, run: UInt32 = 0, small: UInt8 = 0, large: UInt16 = 0, _ payload: [UInt8] = [],
    length: UInt32? = nil
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    withUnsafeBytes(of: (length ?? UInt32(payload.count)).littleEndian) { bytes += $0 }
    bytes += [kind, small]
    withUnsafeBytes(of: large.littleEndian) { bytes += $0 }
    withUnsafeBytes(of: run.littleEndian) { bytes += $0 }
    return bytes + payload
  }

  private static func read(_ parts: [ArraySlice<UInt8>]) throws -> (seen: [Seen], isWithin: Bool) {
    var reader = PythonFrameReader()
    var seen: [Seen] = []
    for part in parts {
      try Array(part).withUnsafeBytes { bytes in
        try reader.feed(bytes) { seen.append(Seen(frame: $0, payload: Array($1))) }
      }
    }
    return (seen, reader.isWithinFrame)
  }

  private static let stream: [UInt8] =
    bytes(0x41, Array(#"{"v":1,"pid":7}"#.utf8))
    + bytes(0x42, run: 7, large: 1, Array(#""content":"Hi""#.utf8))
    + bytes(0x42, run: 7, small: 3, Array(#"abc"x":1"#.utf8)) + bytes(0x45, run: 9)
    + bytes(0x46, run: 7, small: 20, large: 2, Array("lgline".utf8))
    + bytes(0x47, Array(repeating: 1, count: 12))
    + bytes(0x43, run: 7, Array("{}".utf8))

  @Test func theDocumentedTokenIsReadAsItStands() throws {
    let token: [UInt8] =
      [0x0e, 0, 0, 0, 0x42, 0, 1, 0, 7, 0, 0, 0] + Array(#""content":"Hi""#.utf8)
    #expect(token.count == 26)
    let (seen, isWithin) = try Self.read([token[...]])
    #expect(seen.map(\.frame.kind) == [.event] && seen[0].frame.run == 7 && seen[0].frame.large == 1)
    #expect(!isWithin)
  }

  @Test func aStreamIsTheSameWhereverItIsCut() throws {
    let (whole, isWithin) = try Self.read([Self.stream[...]])
    #expect(
      whole.map(\.frame.kind) == [.ready, .event, .event, .cancelled, .log, .pong, .done] && !isWithin)
    for cut in 0...Self.stream.count {
      #expect(try Self.read([Self.stream[..<cut], Self.stream[cut...]]).seen == whole, "cut at \(cut)")
    }
    let single = try Self.read(Self.stream.indices.map { Self.stream[$0...$0] })
    #expect(single.seen == whole && !single.isWithin)
  }

  @Test func aFrameThatHasNotEndedIsWaitedFor() throws {
    let token = Self.bytes(0x42, run: 1, large: 1, Array("\"content\":\"x\"".utf8))
    for count in 1..<token.count {
      let (seen, isWithin) = try Self.read([token[..<count]])
      #expect(seen.isEmpty && isWithin)
    }
  }

  @Test(arguments: [
    bytes(0x40), bytes(0x49), bytes(0x01), bytes(0x00),
    bytes(0x42, run: 1, large: 1, length: (16 << 20) + 1), bytes(0x43, run: 1, length: .max),
    bytes(0x42, run: 0, large: 1), bytes(0x42, run: 1, large: 5), bytes(0x42, run: 1, small: 0, large: 0),
    bytes(0x42, run: 1, small: 3, large: 1, [1, 2, 3]), bytes(0x42, run: 1, small: 4, large: 0, [1, 2, 3]),
    bytes(0x42, run: 1, large: 1, length: (1 << 20) + 1), bytes(0x43, run: 0), bytes(0x44, run: 0),
    bytes(0x43, run: 1, small: 1), bytes(0x45, run: 1, [1]), bytes(0x45, run: 0),
    bytes(0x46, large: 4, [1, 2, 3]),
    bytes(0x47, [1]), bytes(0x47, run: 1, Array(repeating: 0, count: 12)), bytes(0x41, run: 1),
    bytes(0x48, run: 1),
  ])
  func aHeadThatContradictsItselfIsRefused(_ bytes: [UInt8]) {
    #expect(throws: PythonFrameError.self) { try Self.read([bytes[...]]) }
  }

  @Test func whatHasBeenSaidTwiceIsWrittenAsDocumented() {
    func written(_ body: (inout ByteWriter) -> Void) -> [UInt8] {
      var writer = ByteWriter()
      body(&writer)
      return writer.array()
    }
    #expect(written { PythonMessage.cancel(run: 3, to: &$0) } == [0, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0])
    #expect(
      written { PythonMessage.acknowledge(run: 258, 0xFFFF_FFFE, to: &$0) }
        == [4, 0, 0, 0, 4, 0, 0, 0, 2, 1, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF])
    #expect(written { PythonMessage.drain(to: &$0) } == [0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])
    #expect(
      written { PythonMessage.ping(1, to: &$0) } == [
        8, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
      ])
    let (head, payload) = (Array("{}".utf8), Array(#"{"a":1}"#.utf8))
    let start = written { out in
      head.withUnsafeBytes { head in
        payload.withUnsafeBytes { PythonMessage.start(run: 1, head, $0, to: &out) }
      }
    }
    #expect(start == [13, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0] + head + payload)
  }

  /// Whatever comes, it is frames or an error, and the same however it is cut.
  @Test func mutatedStreamsAreReadOrRefusedAlikeHoweverTheyAreCut() {
    var random = SplitMix64(state: 20_261_124)
    var (refused, read) = (0, 0)
    for _ in 0..<20_000 {
      var bytes = Self.stream
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
        case 1:
          bytes[Int.random(in: 0..<bytes.count, using: &random)] ^=
            1 << UInt8.random(in: 0...7, using: &random)
        case 2: bytes.remove(at: Int.random(in: 0..<bytes.count, using: &random))
        default:
          bytes.insert(
            .random(in: 0...255, using: &random), at: Int.random(in: 0...bytes.count, using: &random))
        }
      }
      let whole = Result { try Self.read([bytes[...]]) }
      let cut = Int.random(in: 0...bytes.count, using: &random)
      let parts = Result { try Self.read([bytes[..<cut], bytes[cut...]]) }
      switch (whole, parts) {
      case (.success(let one), .success(let other)):
        read += 1
        #expect(one.seen == other.seen && one.isWithin == other.isWithin)
      case (.failure(let one), .failure(let other)):
        refused += 1
        #expect("\(one)" == "\(other)")
      default: Issue.record("cut at \(cut) it is another: \(bytes)")
      }
    }
    #expect(refused > 1000 && read > 1000, "\(refused) refused, \(read) read")
  }
}
