extension DockfileReader {
  /// What would leave the server open where the file seems to close it is an error, not a warning.
  func auth() -> Dockfile.Auth {
    guard let node = top["auth"], !node.isBroken else { return .none }
    let section = top.section("auth", known: ["mode", "api_keys"], unused: ["jwt", "roles", "rate_limits"])
    switch node.content {
    case .mapping, .null: break
    default: return .none
    }
    let keys = apiKeys(in: section)
    guard section["mode"].map({ !$0.isNull }) ?? false else {
      section.error("mode", "the mode is missing; use none or api_key")
      return .none
    }
    guard let mode = section.given("mode") else { return .none }
    switch mode.text {
    case "api_key": return keys
    case "none":
      if section.given("api_keys") != nil {
        section.warn("api_keys", "the keys are not asked for, since auth.mode is none")
      }
    default:
      section.error(
        "mode",
        "\(mode.shown) is not enforced by this version, so the server does not start with it; "
          + "use none or api_key")
    }
    return .none
  }

  private func apiKeys(in section: ConfigSection) -> Dockfile.Auth {
    let keys = section.section(
      "api_keys", known: ["env_var", "header", "allow_bearer", "prefix", "enabled"], unused: ["rotation_days"]
    )
    var envVar = "DOCKRION_API_KEY"
    if let name = keys.text("env_var") {
      envVar = name
      if !isVariableName(name) {
        keys.error(
          "env_var",
          "\(quoted(name)) is no name of an environment variable; use letters, digits and \"_\", no digit first"
        )
      }
    }
    var header = "X-API-Key"
    if let name = keys.text("header") {
      header = name
      if !Self.isHTTPToken(name) {
        keys.error("header", "\(quoted(name)) is no name of an HTTP header, such as X-API-Key")
      }
    }
    if keys.given("prefix") != nil {
      keys.error(
        "prefix", "keys by prefix are not supported; name one variable in env_var and part its keys by commas"
      )
    }
    if keys.given("enabled") != nil {
      if keys.bool("enabled", default: true) {
        keys.warn("enabled", "this key has no effect here")
      } else {
        keys.error("enabled", "false has no effect on the keys; use auth.mode: none to serve without keys")
      }
    }
    return .apiKey(envVar: envVar, header: header, allowBearer: keys.bool("allow_bearer", default: true))
  }

  /// A token of RFC 9110, section 5.6.2.
  private static func isHTTPToken(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 128
      && text.utf8.allSatisfy { byte in
        ASCII.isAlphanumeric(byte)
          || "!#$%&'*+-.^_`|~".utf8.contains(byte)
      }
  }
}
