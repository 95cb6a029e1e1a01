import DockrionCore
import Testing

@testable import DockrionServer

/// What a frame's members become in an event's wire form.
@Suite struct PythonEventTests {
  private func text(
    _ kind: UInt16, _ members: String, name: String = "", identity: EventEncoder.Identity = .run("r")
  ) throws -> String {
    let payload = Array(name.utf8) + Array(members.utf8)
    let head = PythonFrameTests.bytes(
      0x42, run: 1, small: UInt8(name.utf8.count), large: kind, [], length: UInt32(payload.count))
    let frame = try head.withUnsafeBytes { try PythonFrame($0) }
    let record = try payload.withUnsafeBytes {
      try PythonEvent.record(frame, $0, EventEncoder(identity: identity))
    }
    var out = ByteWriter()
    record.write(sequence: 5, id: false, to: &out)
    return String(decoding: out.bytes, as: UTF8.self)
      .replacing(#/"timestamp":"[^"]*"/#, with: "\"timestamp\":\"T\"")
  }

  @Test func membersAreTakenAsTheyStand() throws {
    #expect(
      try text(1, #""content":"Hi""#)
        == "event: token\ndata: {\"run_id\":\"r\",\"type\":\"token\",\"sequence\":5,\"timestamp\":\"T\",\"content\":\"Hi\"}\n\n"
    )
    #expect(
      try text(0, #""x":[1,2]"#, name: "fraud_check")
        == "event: fraud_check\ndata: {\"run_id\":\"r\",\"type\":\"fraud_check\",\"sequence\":5,\"timestamp\":\"T\",\"x\":[1,2]}\n\n"
    )
    #expect(
      try text(0, "", name: "ping")
        == "event: ping\ndata: {\"run_id\":\"r\",\"type\":\"ping\",\"sequence\":5,\"timestamp\":\"T\"}\n\n")
  }

  @Test func aStepInPatternAHasItsNameTwice() throws {
    let members = #""node_name":"a\"b","input_keys":[],"output_keys":[]"#
    #expect(try text(2, members).hasSuffix("\(members)}\n\n"))
    #expect(
      try text(2, members, identity: .request("q")).hasSuffix(#"\#(members),"node":"a\"b"}"# + "\n\n"))
  }

  @Test func lineSeparatorsAreEscaped() throws {
    let members = "\"content\":\"a\u{2028}b\u{2029}c\u{85}d é 😀\""
    #expect(
      try text(1, members).hasSuffix(#""content":"a\u2028b\u2029c\u0085d é 😀"}"# + "\n\n"))
  }

  @Test(arguments: 0..<20)
  func aControlByteIsRefusedWhereverItStands(_ place: Int) {
    var members = Array(#""content":"xxxxxxxxx""#.utf8)
    for byte: UInt8 in [0, 10, 13, 31] {
      members[place] = byte
      #expect(throws: PythonFrameError.self) {
        try text(1, String(decoding: members, as: UTF8.self))
      }
    }
  }

  @Test(arguments: ["token", "heartbeat", "1a", "a b", "gap", "é"])
  func aNameThatNoCustomEventMayHaveIsRefused(_ name: String) {
    #expect(throws: PythonFrameError.self) { try text(0, "", name: name) }
  }
}
