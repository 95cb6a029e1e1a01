/// Every bound that is not configured, in one place. What the Dockfile can change stands in `Dockfile`.
public enum Limits {
  /// Bytes of one emitted event in its wire form.
  public static let eventBytesMax = 1 << 20
  /// Bytes of an agent's output in JSON.
  public static let outputBytesMax = 16 << 20
  /// Levels of arrays and objects in each other in JSON that is read, …
  public static let jsonLevelsMax = 512
  /// … and in a payload, an output or another value of an agent's: what stands around it in a reply counts too.
  public static let valueLevelsMax = 500
  /// Bytes of the message of an agent's error, whose rest is cut off: it fits an event however it is escaped …
  public static let errorTextBytesMax = 128 << 10
  /// … and of its code.
  public static let errorCodeBytesMax = 256
  /// Bytes of a custom event's name.
  public static let eventNameBytesMax = 128
  /// Bytes of a run id or request id that a client chose.
  public static let idBytesMax = 128
  /// Bytes of an `Idempotency-Key`.
  public static let idempotencyKeyBytesMax = 255
  /// Characters (Unicode scalars) of a cancel's reason; a longer one is refused.
  public static let cancelReasonCharactersMax = 1024
  /// Bytes of a request's head, and again of the trailers behind a chunked body.
  public static let headerBytesMax = 16 << 10
  /// Header fields of a request.
  public static let headerFieldsMax = 200
  /// Bytes of the line before a chunk's data, extensions included.
  public static let chunkLineBytesMax = 4 << 10
  /// Bytes of a request's body that are parsed on the loop; a larger one is parsed on a thread of its own.
  public static let loopParseBytesMax = 8 << 10
  /// Threads that parse such bodies, where there are as many cores.
  public static let parsingLanesMax = 4
  /// Threads that blocked agents can have in each of the two pools; `runtime.worker_threads` may say less. Dispatch
  /// has 255 for both of them and for the queues of agents' libraries.
  public static let workerThreadsMax = 120
  /// Threads that cancel agents' tasks when handlers of theirs block.
  public static let cancellingLanesMax = 8
  /// Bytes that memory for one call keeps until the next.
  public static let scratchBytesKept = 256 << 10
  /// Bytes that may wait unsent for one client before its source is paused …
  public static let streamBufferBytesHigh = 64 << 10
  /// … and down to which they must fall before it goes on.
  public static let streamBufferBytesLow = 16 << 10
  /// Seconds without an acknowledgement, at least, before a stream's client counts as gone.
  public static let silencePatienceSeconds = 5
  /// Bytes of pipelined requests that may wait behind one that is being answered; more closes the connection.
  public static let pipelinedBytesMax = 64 << 10
  /// Seconds without a byte after which a client that sends on behind a refusal is cut off …
  public static let lingeringPauseSeconds = 5
  /// … and seconds that it may go on.
  public static let lingeringSeconds = 30
  /// Runs on one page of `GET /runs`, and without a `limit`.
  public static let runsPageMax = 500
  public static let runsPageDefault = 50
  /// Bytes after which a page of `GET /runs` ends, whatever its `limit`.
  public static let runsPageBytesMax = 1 << 20
  /// Seconds that the last bytes of cancelled streams get at shutdown.
  public static let shutdownFlushSeconds = 1
  /// What one run counts for in `streaming.memory.max_bytes` besides its events.
  public static let runOverheadBytes = 1536
  /// Bytes of events that a run may take in one go before they are counted there.
  public static let uncountedBytesMax = 4 << 10
  /// Lines in the log about refused requests of one kind in a second.
  public static let refusalLinesPerSecond = 10
  /// Codes of agents' errors that the metrics tell apart.
  public static let errorCodesMax = 32
  /// Bytes of an error's text, or of a name in it, in the log.
  public static let logTextBytesMax = 4096
  /// Bytes of a path or a user agent in the access log.
  public static let accessFieldBytesMax = 2048
  /// Bytes of the access log that may wait for the disk; further lines are lost, and counted …
  public static let accessLogBytesMax = 4 << 20
  /// … and seconds that the last of them get at the end of the process.
  public static let accessLogCloseSeconds = 1
  /// Events taken from one ring in one go, so that one busy agent cannot hold the loop.
  public static let drainEventsMax = 1024
  /// Bytes of events that go to Redis in one command, about.
  public static let journalBatchBytes = 256 << 10
  /// Writes of a run, one a second, that Redis may refuse before the run is given up.
  public static let journalRefusalsMax = 60
  /// Runs whose records Redis has not confirmed that are remembered, to be executed if others were told of them …
  public static let unconfirmedRunsMax = 10_000
  /// … and seconds for which a lost command may still arrive.
  public static let unconfirmedSeconds: Int64 = 60
  /// Entries of a run's stream that are read from Redis in one answer.
  public static let followPageEntries = 200
  /// Entries of a run in Redis that are asked for at first, while nobody knows how large they are.
  public static let followFirstPageEntries = 16
  /// What one answer should have, in bytes, once the size of the entries is known.
  public static let followPageBytes = 1 << 20
  /// Bytes of new events that are held while a run's stored ones are read; beyond that they are read again.
  public static let followHeldBytesMax = 1 << 20
  /// Events of a run that may wait for Redis beyond the room for all, while Redis takes what it is given.
  public static let oversizeEventsMax = 8
  /// Ended runs with subscribers that are passed over in a search for room.
  public static let restingReadMax = 64
  /// Seconds that a run from Redis stays in memory when nobody subscribes to it.
  public static let followIdleSeconds = 5
  /// Seconds that a run stays in the memory of its server after Redis has taken its end: Redis may lose the last
  /// second in a crash, and then gets it again.
  public static let redisSettleSeconds = 10
  /// Bytes of one frame between the server and a process that runs Python agents, behind its head.
  public static let pythonFrameBytesMax = 16 << 20
  /// Bytes of a packet of the process that starts those.
  public static let pythonPacketBytesMax = 64 << 10
  /// Bytes that are read from such a process in one go, so that none starves another.
  public static let pythonReadBytes = 256 << 10
  /// Bytes that may wait for such a process before it gets no new runs.
  public static let pythonUnsentBytesMax = 4 << 20
  /// Events of one Python agent that may be under way, at least.
  public static let pythonWindowMin = 1024
  /// Milliseconds for which the exit status of a process that is gone is waited for.
  public static let pythonStatusMilliseconds = 500
  /// Milliseconds without an answer after which a process gets new runs only when all others are as silent.
  public static let pythonSilenceMilliseconds = 2000
  /// Milliseconds until a process that has crashed is replaced: none at the first time, then this, doubled each time …
  public static let pythonRestartMillisecondsMin = 100
  /// … up to this; …
  public static let pythonRestartMillisecondsMax = 10_000
  /// … seconds of life after which it begins anew.
  public static let pythonSettledSeconds: Int64 = 30
  /// Seconds that idle processes get to end by themselves when the server stops.
  public static let pythonExitSeconds: Int64 = 5
  /// Lines that one such process may log in a second; further ones are counted.
  public static let pythonLinesPerSecond = 1000
  /// Bytes of a line on its standard output or standard error.
  public static let pythonLineBytesMax = 8 << 10
  /// What client commands take from a server. Bytes of a reply's head, trailers included, …
  public static let replyHeadBytesMax = 64 << 10
  /// … of a reply that is read in one piece: an output, and what stands around it, …
  public static let replyBytesMax = outputBytesMax + 64 << 10
  /// … of one event's lines, where it is no `complete`, …
  public static let receivedEventBytesMax = eventBytesMax
  /// … and where it is: it holds an output.
  public static let receivedCompleteBytesMax = outputBytesMax + eventBytesMax
  /// Agents' names that one sentence lists.
  public static let namesShownMax = 20
  /// Milliseconds from one connection to a run's events to the next, at least, …
  public static let reconnectMillisecondsMin = 200
  /// … and up to which that grows while connections bring nothing new.
  public static let reconnectMillisecondsMax = 2000
}
