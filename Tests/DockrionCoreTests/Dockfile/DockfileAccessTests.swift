import Testing

@testable import DockrionCore

@Suite struct DockfileAccessTests {
  private func origins(_ yaml: String) throws -> [String]? {
    try readSection("expose:\n  cors: \(yaml)").expose.cors?.origins
  }

  @Test func corsTakesAFlagAnOriginAListOrAMapping() throws {
    #expect(try origins("true") == ["*"])
    #expect(try origins("false") == nil)
    #expect(try origins("null") == nil)
    #expect(try origins("'*'") == ["*"])
    #expect(try origins("https://a.example") == ["https://a.example"])
    #expect(try origins("[https://a.example, 'http://b:8080']") == ["https://a.example", "http://b:8080"])
    #expect(try origins("{origins: ['*']}") == ["*"])
    #expect(try origins("[]") == nil)
    #expect(
      try warnings("expose:\n  cors: {origins: ['*'], methods: [GET]}")
        == ["D:3:26: expose.cors.methods: this key has no effect here"])
  }

  @Test func anOriginIsKeptAsBrowsersSendIt() throws {
    #expect(try origins("HTTPS://A.Example:443") == ["https://a.example"])
    #expect(try origins("http://a:80") == ["http://a"])
    #expect(try origins("https://a:80") == ["https://a:80"])
    #expect(try origins("'http://[::1]:3000'") == ["http://[::1]:3000"])
    #expect(try origins("capacitor://localhost") == ["capacitor://localhost"])
    #expect(try origins("[http://a, http://A]") == ["http://a"])
  }

  @Test(arguments: [
    "https://a/", "https://a/path", "a.example", "https://", "https://u@a", "https://*.a", "https://a:0",
    "https://a:65536", "https://a:", "https://a:x", "https://a?q", "://a", "1s://a", "http://[::1",
    "http://[x]",
    "http://a b", "http://a:+1", "http://ä",
  ]) func anOriginHasASchemeAndAHostAndNoMore(_ text: String) {
    #expect(
      sectionErrors("expose:\n  cors: ['\(text)']") == [
        "D:3:10: expose.cors: \"\(text)\" is no origin; "
          + "use \"*\" or scheme://host[:port] without a path, in full"
      ])
  }

  @Test func aStarStandsAloneAndOriginsAreNamed() {
    #expect(
      sectionErrors("expose:\n  cors: ['*', http://a]")
        == ["D:3:9: expose.cors: \"*\" means any origin and stands alone, not beside others"])
    #expect(
      sectionErrors("expose:\n  cors: {}")
        == ["D:3:9: expose.cors.origins: the origins are missing; name them, or \"*\" for any"])
    #expect(sectionErrors("expose:\n  cors: 5").count == 1)
    #expect(sectionErrors("expose:\n  cors: {origins: [[]]}").count == 1)
  }

  @Test func apiKeysHaveTheirDefaults() throws {
    #expect(
      try readSection("auth: {mode: api_key}").auth
        == .apiKey(envVar: "DOCKRION_API_KEY", header: "X-API-Key", allowBearer: true))
    #expect(
      try readSection("auth: {mode: api_key, api_keys: {env_var: _K1, header: X-K, allow_bearer: false}}")
        .auth
        == .apiKey(envVar: "_K1", header: "X-K", allowBearer: false))
    #expect(try readSection("auth: {mode: none}").auth == .none)
  }

  @Test func aVariableAndAHeaderHaveProperNames() {
    for name in ["1K", "A-B", "", "A B", "Ä"] {
      #expect(
        sectionErrors("auth: {mode: api_key, api_keys: {env_var: '\(name)'}}") == [
          "D:2:43: auth.api_keys.env_var: \"\(name)\" is no name of an environment variable; "
            + "use letters, digits and \"_\", no digit first"
        ])
    }
    for name in ["X Key", "X:", "", "Ä"] {
      #expect(
        sectionErrors("auth: {mode: api_key, api_keys: {header: '\(name)'}}")
          == ["D:2:42: auth.api_keys.header: \"\(name)\" is no name of an HTTP header, such as X-API-Key"])
    }
  }

  @Test(arguments: ["jwt", "oauth2", "apikey", "true"])
  func aModeThatIsNotEnforcedKeepsTheServerFromStarting(_ mode: String) {
    let shown = mode == "true" ? mode : "\"\(mode)\""
    #expect(
      sectionErrors("auth:\n  mode: \(mode)") == [
        "D:3:9: auth.mode: \(shown) is not enforced by this version, so the server does not start with it; "
          + "use none or api_key"
      ])
  }

  @Test func authWithoutAModeIsAnError() {
    let message = "auth.mode: the mode is missing; use none or api_key"
    #expect(sectionErrors("auth: {api_keys: {}}") == ["D:2:7: \(message)"])
    #expect(sectionErrors("auth: {mode: ~}") == ["D:2:14: \(message)"])
    #expect(sectionErrors("auth:").map { $0.hasSuffix(message) } == [true])
    #expect(sectionErrors("auth: {mode: \"${M}\"}", environment: ["M": ""]).count == 1)
    #expect(sectionErrors("auth: {mode: ${M}}").isEmpty == false)
    #expect(sectionErrors("auth: api_key") == ["D:2:7: auth: \"api_key\" stands where a mapping is needed"])
  }

  @Test func keysThatWouldOnlySeemToProtectAreErrors() throws {
    #expect(
      sectionErrors("auth:\n  mode: api_key\n  api_keys:\n    prefix: K_\n    enabled: false") == [
        "D:5:13: auth.api_keys.prefix: keys by prefix are not supported; "
          + "name one variable in env_var and part its keys by commas",
        "D:6:14: auth.api_keys.enabled: false has no effect on the keys; "
          + "use auth.mode: none to serve without keys",
      ])
    #expect(
      try warnings("auth: {mode: api_key, api_keys: {enabled: true, rotation_days: 30}}").map {
        String($0.drop { $0 != " " })
      } == [
        " auth.api_keys.enabled: this key has no effect here",
        " auth.api_keys.rotation_days: this key has no effect here",
      ])
    #expect(
      try warnings("auth: {mode: none, api_keys: {env_var: K}}")
        == ["D:2:30: auth.api_keys: the keys are not asked for, since auth.mode is none"])
  }
}
