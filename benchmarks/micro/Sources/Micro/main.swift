import Benchmark
import DockrionCore

// What an event goes through, station by station. Where a station owes its speed to a choice, what was not chosen
// stands below it.

final class Scratch {
  var writer = ByteWriter(capacity: 4096)
}

final class Marked: LoopItem, @unchecked Sendable {}

let scratch = Scratch()
let encoder = EventEncoder(identity: .request("53014865-635e-4778-b85d-19226126c3cb"))

func token() -> EventRecord {
  encoder.record(.token) {
    $0.append(",\"content\":")
    $0.append(json: "tok12 ")
  }
}

benchmark("encode a token") { _ = token() }

// Divided by 12, nanoseconds a kilobyte: 1 GB/s is 12,000 ns.
func benchmarkText(_ name: String, _ piece: String) {
  let text = String(repeating: piece, count: 12_000 / piece.utf8.count)
  let scratch = Scratch()
  benchmark("encode 12 kB of \(name)") {
    scratch.writer.removeAll()
    scratch.writer.append(json: text)
  }
}
benchmarkText("plain text", "The quick brown fox jumps over the lazy dog and looks back. ")
benchmarkText("text with line breaks", "The quick brown fox jumps over the lazy dog and looks back.\n")
benchmarkText("code", "  if (word == \"a\\n\") {\n\treturn 1;\n  }\n")
benchmarkText("Japanese", "日本語のテキストです。")
benchmarkText("typographic quotation marks", "It’s “fine” — really… ")
benchmarkText("quotation marks alone", "\"")
benchmark("encode 3 bytes of text") {
  scratch.writer.removeAll()
  scratch.writer.append(json: "Hi ")
}

let moment = Clock.wallNanoseconds()
benchmark("timestamp") {
  scratch.writer.removeAll()
  scratch.writer.append(timestamp: moment)
}

benchmark("clock, once an event") { _ = Clock.monotonicNanoseconds() }
benchmark("clock, both") { _ = (Clock.monotonicNanoseconds(), Clock.wallNanoseconds()) }

benchmark("eight literals as bytes") {
  scratch.writer.removeAll()
  for _ in 0..<8 { scratch.writer.append("\",\"type\":\"" as StaticString) }
}
let literal = "\",\"type\":\""
benchmark("eight literals as strings") {
  scratch.writer.removeAll()
  for _ in 0..<8 { scratch.writer.append(literal) }
}

let record = token()
let ring = EventRing<EventRecord>(capacity: 1024)
benchmark("ring: 16 in, 16 out") {
  for _ in 0..<16 { _ = ring.push(record) }
  while ring.pop() != nil {}
}
benchmark("ring: made and freed") { _ = EventRing<EventRecord>(capacity: 1024).isFull }

let inbox = Inbox {}
let items = (0..<16).map { _ in Marked() }
benchmark("inbox: 16 marked and taken") {
  for item in items { inbox.mark(item) }
  inbox.takeAll()
}

benchmark("write an event to its stream") {
  scratch.writer.removeAll()
  record.write(sequence: 12, id: false, to: &scratch.writer)
}

let log = RunLog(eventsMax: 1000)
for _ in 0..<100 { log.append(record) }
benchmark("store an event of a run") { log.append(record) }
benchmark("read 100 stored events") { _ = log.read(from: log.lastSequence - 99, bytesMax: 1 << 20) }

let body = Array(#"{"text":"Hello, world!"}"#.utf8)
benchmark("parse a payload") { _ = try body.withUnsafeBytes { try JSONObject(parsing: $0) } }

let chat = Array(
  #"""
  {"model":"small","messages":[{"role":"system","content":"You answer briefly."},{"role":"user","content":
  "What is the capital of France?\nAnswer in one sentence."},{"role":"assistant","content":"Paris is the capital
   of France."},{"role":"user","content":"And of Spain?"}],"temperature":0.2,"max_tokens":256}
  """#.utf8.filter { $0 != 0x0A })
benchmark("parse a chat of 300 bytes") { _ = try chat.withUnsafeBytes { try JSONObject(parsing: $0) } }

// Divided into 1,048,576,000, megabytes a second: 100 MB/s are 10.5 ms.
func benchmarkParse(_ name: String, _ piece: String, between: String, first: String, last: String) {
  let count = (1 << 20) / (piece.utf8.count + between.utf8.count)
  let text = Array((first + Array(repeating: piece, count: count).joined(separator: between) + last).utf8)
  benchmark("parse a megabyte of \(name)") {
    _ = try text.withUnsafeBytes { try JSONObject(parsing: $0) }
  }
}
benchmarkParse("small objects", #"{"a":1}"#, between: ",", first: #"{"x":["#, last: "]}")
benchmarkParse("text", "The quick brown fox looks back. ", between: "", first: #"{"x":""#, last: #""}"#)
benchmarkParse("Japanese", "日本語のテキストです。", between: "", first: #"{"x":""#, last: #""}"#)
benchmarkParse(
  "messages", #"{"role":"user","content":"What is the capital of France?\nAnswer briefly."}"#, between: ",",
  first: #"{"x":["#, last: "]}")
benchmarkParse(
  "escapes", #"line one\n\"quoted\" caf\u00e9 \\ "#, between: "", first: #"{"x":""#, last: #""}"#)
benchmarkParse("numbers", "0.123456,-1.5e3,12345,7", between: ",", first: #"{"x":["#, last: "]}")
benchmarkParse("arrays of one", "[1]", between: ",", first: #"{"x":["#, last: "]}")

let dockfile = try Dockfile.parse("agent: {name: bench, handler: scripted}", environment: [:])
let tokens: JSONObject = ["tokens": 20]
benchmark("an agent of 20 tokens, its threads included") {
  _ = try LocalRun(dockfile, identity: .request("r")).play(ScriptedAgent(), input: tokens) { _, _ in }
}

Benchmark.main()
