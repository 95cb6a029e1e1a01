/// Why a client's stream ended, as `dockrion_streams_closed_total` counts it.
package enum CloseReason: String, CaseIterable {
  /// The terminal event was delivered.
  case finished
  /// The client closed, or its connection broke.
  case client
  /// `?timeout=` or `default_timeout` passed.
  case timeout
  /// The client took nothing for `stall_timeout_seconds`.
  case stalled
  /// More bytes waited on all connections together than `runtime.max_buffered_bytes`, and most of them here.
  case overflow
  /// The server stopped.
  case shutdown
}
