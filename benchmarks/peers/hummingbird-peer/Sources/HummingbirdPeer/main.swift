import Foundation
import Hummingbird

// The same replies as `dockrion`, from a bare Hummingbird server and no agent: what a Swift server of the usual kind
// costs. Usage: hummingbird-peer PORT

struct Payload: Decodable, Sendable {
  var text: String?
  var tokens: Int?
  var interval: Double?

  enum CodingKeys: String, CodingKey {
    case text, tokens
    case interval = "interval_ms"
  }
}

struct Output: Encodable {
  var text: String
}

struct Metadata: Encodable {
  var agent = "bench"
  var framework = "hummingbird"
  var latency: Double

  enum CodingKeys: String, CodingKey {
    case agent, framework
    case latency = "latency_seconds"
  }
}

struct Reply: ResponseEncodable {
  var success = true
  var output: Output
  var metadata: Metadata
}

let arguments = CommandLine.arguments
guard arguments.count == 2, let port = Int(arguments[1]) else {
  FileHandle.standardError.write(Data("usage: hummingbird-peer PORT\n".utf8))
  exit(2)
}

@Sendable func event(_ type: String, _ id: String, _ sequence: Int, _ fields: String) -> ByteBuffer {
  let time = Date().formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
  return ByteBuffer(
    string: "event: \(type)\ndata: {\"request_id\":\"\(id)\",\"type\":\"\(type)\",\"sequence\":\(sequence),"
      + "\"timestamp\":\"\(time)\",\(fields)}\n\n")
}

let router = Router()

router.post("/invoke") { request, context -> Reply in
  let start = ContinuousClock.now
  let payload = try await request.decode(as: Payload.self, context: context)
  let seconds = (ContinuousClock.now - start) / .seconds(1)
  return Reply(output: Output(text: payload.text ?? ""), metadata: Metadata(latency: seconds))
}

router.post("/invoke/stream") { request, context -> Response in
  let payload = try await request.decode(as: Payload.self, context: context)
  let tokens = payload.tokens ?? 16
  let interval = payload.interval ?? 0
  let id = UUID().uuidString.lowercased()
  return Response(
    status: .ok,
    headers: [.contentType: "text/event-stream", .cacheControl: "no-cache, no-transform"],
    body: ResponseBody { writer in
      try await writer.write(
        event("started", id, 1, "\"agent_name\":\"bench\",\"framework\":\"hummingbird\""))
      for index in 0..<tokens {
        if interval > 0, index > 0 { try await Task.sleep(for: .milliseconds(interval)) }
        try await writer.write(event("token", id, index + 2, "\"content\":\"tok\(index) \""))
      }
      try await writer.write(
        event(
          "complete", id, tokens + 2,
          "\"output\":{\"tokens\":\(tokens)},\"latency_seconds\":0.000123,\"metadata\":{}"))
      try await writer.finish(nil)
    })
}

let application = Application(
  router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)))
try await application.runService()
