/// Why no agent can be started now.
enum AgentRefusal: Error {
  /// The server takes no more runs.
  case stopping
  /// The agent's host cannot run any, with its reason.
  case outage(String)
  /// As many execute as may, of this agent or, without a name, of all.
  case tooMany(most: Int, agent: String?)
  /// The payloads that are held leave no room for this one.
  case payloads(held: Int, most: Int)
  /// The payload alone is more than may be held.
  case payload(bytes: Int, most: Int)
}
