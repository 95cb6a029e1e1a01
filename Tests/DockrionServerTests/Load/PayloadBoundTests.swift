import Foundation
import Testing

/// What the payloads of all running agents together may take.
@Suite(.ownsMachine) struct PayloadBoundTests {
  private static let small =
    #"{"hang":true,"x":["# + Array(repeating: #"{"a":1}"#, count: 130_000).joined(separator: ",") + "]}"

  private static func held(_ server: ServerProcess) throws -> Double {
    try server.metrics().sum("dockrion_payload_bytes")
  }

  @Test func aPayloadCountsWhileItsAgentRunsAndNoLonger() throws {
    try withServer(dockfile("scripted")) { server throws in
      #expect(try Self.held(server) == 0)
      for run in ["one", "two"] {
        #expect(try server.post("/runs?run_id=\(run)", Self.small).status == 202)
      }
      let both = try Self.held(server)
      #expect(both > 2 * 10_000_000 && both <= 2 * 16 * Double(Self.small.utf8.count))
      #expect(try server.request("DELETE", "/runs/one").status == 200)
      #expect(try eventually(within: 10) { try Self.held(server) == both / 2 })
      #expect(try server.post("/invoke", #"{"tokens":0}"#).status == 200)
      #expect(try server.post("/invoke", #"{"tokens":"x"}"#).status == 422)
      #expect(try Self.held(server) == both / 2)
      #expect(try server.request("DELETE", "/runs/two").status == 200)
      #expect(try eventually(within: 10) { try Self.held(server) == 0 })
    }
  }

  @Test func beyondTheBoundStartsAreRefusedUntilThereIsRoom() throws {
    try withServer(dockfile("scripted", "runtime: {max_payload_bytes: 32MiB}")) { server throws in
      #expect(try server.post("/runs?run_id=one", Self.small).status == 202)
      #expect(try server.post("/runs?run_id=two", Self.small).status == 202)
      for path in ["/runs", "/invoke", "/invoke/stream"] {
        let refused = try server.post(path, Self.small)
        #expect(refused.status == 429)
        #expect(refused.text.contains("TOO_MANY_RUNS"))
      }
      #expect(try server.post("/invoke", #"{"tokens":0}"#).status == 200, "what is small has room")
      #expect(try server.request("DELETE", "/runs/one").status == 200)
      #expect(
        try eventually(within: 10) { try server.post("/runs?run_id=three", Self.small).status == 202 })
    }
  }

  @Test func aPayloadThatCanNeverFitIsTooLarge() throws {
    try withServer(dockfile("scripted", "runtime: {max_payload_bytes: 1MiB}")) { server throws in
      let refused = try server.post("/invoke", Self.small)
      #expect(refused.status == 413)
      #expect(refused.text.contains("runtime.max_payload_bytes"))
      #expect(try eventually(within: 5) { try Self.held(server) == 0 })
    }
  }

  @Test func memoryStaysBoundedBySixteenTimesTheBody() throws {
    try withServer(dockfile("scripted")) { server throws in
      let before = server.residentBytes
      for run in 0..<12 { #expect(try server.post("/runs?run_id=r\(run)", Self.small).status == 202) }
      #expect(server.residentBytes - before <= 12 * 16 * Self.small.utf8.count)
    }
  }
}
