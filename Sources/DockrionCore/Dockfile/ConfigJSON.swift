extension ConfigNode {
  /// The value as JSON, with the types of YAML 1.2's core schema.
  ///
  /// What JSON cannot hold (`.inf`, `.nan`) is reported and read as null.
  func json(field: String, issues: IssueCollector) -> JSONValue {
    switch content {
    case .null, .broken: return .null
    case .scalar(let text, let plain):
      guard plain else { return .string(text) }
      switch PlainScalar(text) {
      case .null: return .null
      case .bool(let flag): return .bool(flag)
      case .int(let number): return .int(number)
      case .text: return .string(text)
      case .double(let number):
        if !number.isFinite {
          issues.error(field, at: place, "\(shown) has no JSON form; a finite number is needed")
          return .null
        }
        return .double(number)
      }
    case .sequence(let elements):
      return .array(
        elements.enumerated().map { $1.json(field: "\(field)[\($0)]", issues: issues) })
    case .mapping: return .object(jsonObject(field: field, issues: issues))
    }
  }

  /// The mapping as a JSON object; empty for anything else.
  func jsonObject(field: String, issues: IssueCollector) -> JSONObject {
    guard case .mapping(let entries) = content else { return [:] }
    return JSONObject(
      entries.map { ($0.key, $0.value.json(field: joined(field, $0.key), issues: issues)) })
  }
}
