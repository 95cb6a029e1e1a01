import Testing

/// What a person sees who opens the server, or a page that uses it, in a browser.
@Suite(.sharesMachine) struct BrowserTests {
  @Test func theWelcomePageShowsTheAgentAndItsCommandsWithoutAComplaint() throws {
    let described = """
      agent: {name: test-agent, handler: echo, description: 'Says <b>it</b> again & "again"'}
      runtime: {shutdown_grace_seconds: 0}
      """
    try withServer(described) { server throws in
      let browser = try Browser()
      let place = "http://127.0.0.1:\(server.port)"
      try browser.open(place + "/")
      #expect(try browser.evaluate("document.title").string == "test-agent - Dockrion")
      #expect(try browser.evaluate("document.querySelector('h1').textContent").string == "test-agent")
      #expect(try browser.evaluate("document.compatMode").string == "CSS1Compat")
      let text = try browser.evaluate("document.body.innerText").string ?? ""
      #expect(text.contains(#"Says <b>it</b> again & "again""#), "\(text)")
      #expect(try browser.evaluate("document.querySelectorAll('b, script').length").int == 0)

      let shown = try browser.evaluate("[...document.querySelectorAll('pre')].map(each => each.innerText)")
      let commands = (shown.array ?? []).compactMap(\.string)
      for start in [
        "curl -N -X POST \(place)/invoke/stream ", "curl -X POST \(place)/invoke ",
        "curl -X POST '\(place)/runs?run_id=", "curl -N \(place)/runs/", "curl -X DELETE \(place)/runs/",
      ] {
        #expect(commands.filter { $0.hasPrefix(start) }.count == 1, "\(start) in \(commands)")
      }
      // Every browser asks for an icon, and shows in red when there is none.
      try expectFavicon(browser, server)
      #expect(browser.complaints.isEmpty)
      #expect(browser.responses.allSatisfy { $0.status == 200 }, "\(browser.responses)")
    }
  }

  @Test func anEventSourceGetsEveryEventOnceAcrossReconnectsAndThenStops() throws {
    let pages = try PageServer(Self.eventSourcePage)
    let cors = "expose: {cors: {origins: ['http://127.0.0.1:\(pages.port)']}}"
    try withServer(dockfile("scripted", cors)) { server throws in
      let browser = try Browser()
      // A subscription's second, the two seconds of `retry`, and then the rest, partly live.
      let run = try server.startRun(#"{"tokens":35,"interval_ms":100}"#)
      try browser.open(
        "http://127.0.0.1:\(pages.port)/?server=http://127.0.0.1:\(server.port)&path=/runs/\(run)/events%3Ftimeout=1"
      )
      var state = JSON.null
      let stopped = try eventually(within: 30) {
        state = try browser.evaluate("state()")
        return state["readyState"]?.int == 2
      }
      #expect(stopped, "the EventSource has not closed: \(state)")
      let ids = (state["ids"]?.array ?? []).compactMap(\.string)
      #expect(ids == (1...37).map(String.init), "\(state)")
      #expect(state["sequences"]?.array?.compactMap(\.int) == Array(1...37))
      let timeouts = try #require(state["timeouts"]?.int)
      #expect(timeouts >= 1, "no subscription ended in mid-stream")
      #expect(state["opens"]?.int == timeouts + 1)

      func requests(_ status: String) throws -> Double {
        try server.metrics().sum(
          "dockrion_requests_total", ["route": "/runs/{run_id}/events", "status": status])
      }
      let served = try requests("200")
      #expect(served == Double(timeouts + 1))
      #expect(try requests("204") == 1)
      // A loop would come round within the two seconds of `retry`.
      let loops = try eventually(within: 3) { try requests("204") + requests("200") != served + 1 }
      #expect(!loops, "the EventSource asks again after the 204")
    }
  }

  /// Chromium waits three seconds where nobody says `retry`. The shortest of the pauses counts: a busy machine only
  /// makes them longer.
  @Test(arguments: [
    "timeout=1", "timeout=1%26events=token%26from_sequence=9", "timeout=2%26from_sequence=9",
  ]) func anEventSourceWaitsTwoSecondsWhateverItGotFirst(_ query: String) throws {
    let pages = try PageServer(Self.eventSourcePage)
    let sections = """
      expose: {cors: {origins: ['http://127.0.0.1:\(pages.port)']}}
      streaming: {events: {heartbeat_interval: 1}}
      """
    try withServer(dockfile("scripted", sections)) { server throws in
      let browser = try Browser()
      let run = try server.startRun(#"{"tokens":1,"hang":true}"#)
      try browser.open(
        "http://127.0.0.1:\(pages.port)/?server=http://127.0.0.1:\(server.port)&path=/runs/\(run)/events%3F\(query)"
      )
      var pauses: [Double] = []
      let isPrompt = try eventually(within: 40) {
        pauses = try browser.evaluate("pauses").array?.compactMap(\.double) ?? []
        return pauses.contains { $0 < 2700 }
      }
      #expect(isPrompt, "milliseconds: \(pauses)")
      #expect(pauses.allSatisfy { $0 > 1900 }, "milliseconds: \(pauses)")
    }
  }

  @Test func aFetchFromAnotherOriginReadsTokensAsTheyAreMade() throws {
    let pages = try PageServer(Self.fetchPage)
    let cors = "expose: {cors: {origins: ['http://127.0.0.1:\(pages.port)']}}"
    try withServer(dockfile("scripted", cors)) { server throws in
      let browser = try Browser()
      let address = "'http://127.0.0.1:\(server.port)/invoke/stream'"
      try browser.open("http://127.0.0.1:\(pages.port)/")
      let result = try browser.evaluate("read(\(address), {tokens: 10, interval_ms: 300})")
      var parser = FrameParser()
      let text = try #require(result["text"]?.string, "\(result)")
      let events = try parser.feed(Array(text.utf8), arrival: 0).compactMap(\.event)
      #expect(events.count == 12 && parser.isBetweenFrames)
      let id = try #require(result["id"]?.string, "the page cannot read X-Request-Id")
      expectWholeStream(events, idField: "request_id", id: id)
      let arrivals = (result["arrivals"]?.array ?? []).compactMap(\.double)
      try #require(arrivals.count >= 5, "all came at once: \(arrivals)")
      #expect(arrivals[arrivals.count - 1] - arrivals[0] > 700, "milliseconds: \(arrivals)")
      #expect(browser.complaints.isEmpty)
      let metrics = try server.metrics()
      let route = "/invoke/stream"
      #expect(
        metrics.sum("dockrion_requests_total", ["route": route, "method": "OPTIONS", "status": "204"]) == 1)

      // The page gives up: the agent is cancelled.
      try browser.evaluate("start(\(address), {tokens: 1, hang: true})")
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 1 })
      try browser.evaluate("controller.abort()")
      #expect(try eventually(within: 5) { try server.metrics().sum("dockrion_active_runs") == 0 })
    }
  }

  @Test func aFetchFromAnOriginThatIsNotAllowedNeverReachesTheAgent() throws {
    let pages = try PageServer(Self.fetchPage)
    let cors = "expose: {cors: {origins: ['http://127.0.0.1:\(pages.port)']}}"
    try withServer(dockfile("scripted", cors)) { server throws in
      let browser = try Browser()
      // Another origin, though it is the same page.
      try browser.open("http://localhost:\(pages.port)/")
      let address = "'http://127.0.0.1:\(server.port)/invoke/stream'"
      let result = try browser.evaluate("read(\(address), {tokens: 1}).catch(error => error.name)")
      #expect(result.string == "TypeError", "\(result)")
      let metrics = try server.metrics()
      #expect(metrics.sum("dockrion_requests_total", ["method": "OPTIONS"]) == 1)
      #expect(metrics.sum("dockrion_requests_total", ["method": "POST"]) == 0)
    }
  }

  /// Such a request needs no preflight: it has neither headers of its own nor a type.
  @Test func aPageOfAnotherSiteCannotStartAnAgentWithoutAsking() throws {
    let pages = try PageServer(Self.fetchPage)
    try withServer(dockfile("scripted")) { server throws in
      let browser = try Browser()
      let send = """
        fetch("http://127.0.0.1:\(server.port)/invoke", {
          method: "POST", mode: "no-cors", body: new Blob(['{"tokens":1}']),
        }).then(response => response.type)
        """
      func count(_ status: String) throws -> Double {
        try server.metrics().sum("dockrion_requests_total", ["route": "/invoke", "status": status])
      }
      try browser.open("http://localhost:\(pages.port)/")
      #expect(try browser.evaluate(send).string == "opaque")
      #expect(try count("403") == 1 && count("200") == 0)
      // Without an origin that it would name, in a frame that has none.
      let framed = """
        new Promise(done => {
          const frame = document.createElement("iframe")
          frame.sandbox = "allow-scripts"
          frame.onload = () => setTimeout(done, 0)
          frame.srcdoc = `<script>\(send)</script>`
          document.body.append(frame)
        })
        """
      try browser.evaluate(framed)
      #expect(try eventually(within: 10) { try count("403") == 2 })
      #expect(try count("200") == 0)
      // The server's own page may.
      try browser.open("http://127.0.0.1:\(server.port)/")
      #expect(try browser.evaluate(send).string == "basic")
      #expect(try count("200") == 1)
    }
  }

  private func expectFavicon(_ browser: Browser, _ server: ServerProcess) throws {
    let hasLink = try browser.evaluate("document.querySelector('link[rel~=icon]') !== null").bool
    let status = try server.get("/favicon.ico").status
    #expect(hasLink == true || status < 300, "neither a link to an icon nor /favicon.ico: \(status)")
  }

  private static let eventSourcePage = """
    <!doctype html><link rel="icon" href="data:,"><title>EventSource</title>
    <script>
    const query = new URLSearchParams(location.search)
    const source = new EventSource(query.get("server") + query.get("path"))
    const ids = [], sequences = [], pauses = []
    let lostAt = 0
    let opens = 0, timeouts = 0
    for (const type of ["started", "progress", "token", "step", "complete", "error", "cancelled", "gap"])
      source.addEventListener(type, event => {
        if (!(event instanceof MessageEvent)) return
        ids.push(event.lastEventId)
        sequences.push(JSON.parse(event.data).sequence)
      })
    source.addEventListener("timeout", () => timeouts++)
    source.addEventListener("error", () => lostAt = performance.now())
    source.addEventListener("open", () => { if (opens++ > 0) pauses.push(performance.now() - lostAt) })
    function state() { return {ids, sequences, opens, timeouts, readyState: source.readyState} }
    </script>

    """

  private static let fetchPage = """
    <!doctype html><link rel="icon" href="data:,"><title>fetch</title>
    <script>
    const controller = new AbortController()
    function start(url, payload) {
      return fetch(url, {
        method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(payload),
        signal: controller.signal,
      }).then(response => ({status: response.status}))
    }
    async function read(url, payload) {
      const response = await fetch(url, {
        method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(payload),
      })
      const reader = response.body.getReader(), decoder = new TextDecoder(), arrivals = []
      let text = ""
      while (true) {
        const {done, value} = await reader.read()
        if (done) return {text, arrivals, id: response.headers.get("X-Request-Id")}
        text += decoder.decode(value, {stream: true})
        arrivals.push(performance.now())
      }
    }
    </script>

    """
}
