import Foundation
import Testing

@testable import DockrionCore

@Suite struct EventLayoutTests {
  private let encoder = EventEncoder(identity: .run("r-1"))

  /// The wire form with a sequence, as it is sent and stored.
  private func stored(_ record: EventRecord, id: Bool) -> [UInt8] {
    var out = ByteWriter()
    record.write(sequence: 1234, id: id, to: &out)
    return out.array()
  }

  @Test(arguments: [
    "Hi", "", "\"", "\\", "\\\"", "a\\\\\"b", "\n\ndata: {}", ",\"content\":\"x\"", "日本語 \u{1F600}",
    "\u{2028}",
    String(repeating: "\\\"", count: 3000),
  ])
  func aTokensContentCanBeTakenOver(_ text: String) throws {
    let record = encoder.record(.token) { $0.append(member: "content", text) }
    for bytes in [record.withText { Array($0) }, stored(record, id: false), stored(record, id: true)] {
      let layout = try #require(bytes.withUnsafeBytes { EventLayout($0) })
      let content = try #require(layout.content)
      let value = try JSONSerialization.jsonObject(with: Data(bytes[content]), options: .fragmentsAllowed)
      #expect(value as? String == text)
    }
    #expect(record.layout == record.withText { EventLayout($0) })
  }

  @Test func theObjectIsWhatStandsBehindData() throws {
    let records = [
      encoder.record(.token) { $0.append(member: "content", "x") },
      encoder.record(.custom, customName: "mine") { $0.append(member: "content", "\ndata: {}") },
      encoder.startedRecord(agentName: "a", framework: "swift"), encoder.cancelledRecord(reason: "why"),
    ]
    for record in records {
      for id in [false, true] {
        let bytes = stored(record, id: id)
        let layout = try #require(bytes.withUnsafeBytes { EventLayout($0) })
        let object = try JSONSerialization.jsonObject(with: Data(bytes[layout.json])) as? [String: Any]
        #expect(object?["sequence"] as? Int == 1234)
        #expect((layout.content != nil) == (record.kind == .token), "other events have none")
      }
    }
  }

  @Test func whatIsNoEventHasNoParts() {
    for text in ["", "\n\n", ": keep-alive\n", "event: token\n\n", "event: token\ndata: {\"content\":\"x\"}"]
    {
      #expect(Array(text.utf8).withUnsafeBytes { EventLayout($0) } == nil, "\(text)")
    }
  }
}
