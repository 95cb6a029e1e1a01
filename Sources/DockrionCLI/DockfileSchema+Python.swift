import DockrionCore

/// What agents in Python have besides.
extension DockfileSchema {
  static let python = section(
    "The processes that run an agent in Python.",
    [
      ("executable", text("The interpreter: a path from the Dockfile's folder on, or a name in PATH.")),
      ("processes", integer("Processes; the number of cores unless given.", 1...256)),
      ("threads", integer("Synchronous handlers at once in a process.", 1...1000, default: 32)),
      ("max_concurrent_runs", integer("Runs at once in a process.", 1...100_000, default: 1000)),
      (
        "max_runs",
        integer("Runs after which a process is replaced; 0 for never.", 0...1_000_000_000, default: 0)
      ),
      ("max_memory", bytes("Bytes of a process's memory; 0 for no bound.", 0...(1 << 40), default: 0)),
      ("cancel_grace_seconds", integer("Seconds that a cancelled run gets to end.", 1...3600, default: 10)),
      ("import_timeout_seconds", integer("Seconds to import the agent.", 1...3600, default: 60)),
      (
        "preload",
        described(
          "Whether the agent is imported once for all processes.",
          ["anyOf": [["enum": .array(["auto"] + flags)], variable, null], "default": "auto"])
      ),
      ("event_loop", word("What asynchronous agents run on.", ["auto", "asyncio"], default: "auto")),
      ("env", described("Variables for the processes.", ["type": ["object", "null"]])),
    ])

  static let secrets = section(
    "Variables that agents need, or may use.",
    [("required", secretList), ("optional", secretList)])

  private static let secretList = described(
    "Names of variables.",
    [
      "type": ["array", "null"],
      "items": .object(
        section(
          "A variable.", required: ["name"],
          [
            (
              "name",
              described(
                "In capitals.", ["anyOf": [["type": "string", "pattern": "^[A-Z_][A-Z0-9_]*$"], variable]])
            ),
            ("description", text("What it is for.")),
            ("default", text("What Python agents find where the environment has nothing.")),
          ])),
    ])

  static let arguments = section(
    "What an agent takes, of which the server looks at one.",
    [
      (
        "timeout_sec",
        integer("Seconds a run may take, unless streaming.events.max_run_duration says.", 1...86_400)
      ),
      ("dependencies", described("For building images.", ["type": ["array", "null"]])),
      ("extra", described("For building images.", ["type": ["object", "null"]])),
      ("requirements_file", text("For building images.")),
    ])
}
