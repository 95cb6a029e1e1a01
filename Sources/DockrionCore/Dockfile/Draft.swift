public struct DockfileIssue: Sendable {}
public struct InputSchema: Sendable { public let document: JSONValue; public init(_ d: JSONObject) throws { document = .object(d) }
 public struct V: Sendable, CustomStringConvertible { public var description: String { "" } }
 public func check(_ p: JSONObject) -> V? { nil } }
extension Dockfile { public static func load(path: String) throws -> Dockfile { var d = Dockfile(path: path, agent: Agent(name: "draft")); d.agent.handler = "scripted"; return d } }
