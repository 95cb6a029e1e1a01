import DockrionCore

/// The JSON Schema of the Dockfile. `DockfileSchemaTests` holds its keys and ranges against the reader's.
///
/// It takes what the reader takes without a warning, and the keys that have no effect, as `deprecated`. A null is
/// the same as an absent key, and text with a `${NAME}` may stand for any scalar.
enum DockfileSchema {
  static let document: JSONObject = [
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Dockfile",
    "description": "The configuration of one Dockrion server.",
    "type": "object",
    "oneOf": [["required": ["agent"]], ["required": ["agents"]]],
    "additionalProperties": false,
    "properties": .object(
      properties(
        [
          ("version", described("The version of this format.", ["enum": ["1.0", 1.0, nil]])),
          ("agent", agent), ("agents", agents), ("io_schema", schemas), ("expose", expose),
          ("streaming", streaming),
          ("runtime", runtime), ("auth", auth),
          ("metadata", metadata), ("arguments", arguments), ("secrets", secrets),
        ], withoutEffect: ["policies", "observability", "build"])),
    "$defs": [
      "variable": [
        "description": "Text with an environment variable, ${NAME} or ${NAME:-default}.",
        "type": "string", "pattern": "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
      ]
    ],
  ]

  private static let agent = section("What is served.", required: ["name"], agentKeys)

  private static let agents: JSONObject = [
    "description": "In place of agent: those that are served, each below /agents/NAME.",
    "type": "array", "minItems": 1,
    "items": .object(
      section(
        "An agent, with what it has of its own.", required: ["name"],
        agentKeys + [
          (
            "default",
            boolean("Makes it the one whose routes have no prefix; else the first is.", default: false)
          ),
          ("io_schema", schemas),
          (
            "streaming",
            section(
              "Its own events.",
              [
                (
                  "events",
                  section(
                    "What it may send.",
                    [("allowed", described("In place of the file's.", ["anyOf": allowedForms]))])
                )
              ]
            )
          ),
          (
            "runtime",
            section(
              "Its own bounds, within the file's.",
              [
                ("max_concurrent_runs", integer("How many of it execute at once.", 1...1_000_000)),
                ("python", python),
              ])
          ),
          ("metadata", metadata),
        ])),
  ]

  private static let metadata = described(
    "Shown by /info as it stands; an agent's own over the file's, key by key.", ["type": ["object", "null"]])

  private static let agentKeys: [(String, JSONObject)] = [
    (
      "name",
      [
        "description": "The agent's name in events and in /info.",
        "anyOf": [
          ["type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"],
          ["type": "integer", "minimum": 0], variable,
        ],
      ]
    ),
    ("description", text("Shown by /info.")),
    (
      "handler",
      text("module.path:function in Python, or the name under which the agent is registered in the program.")
    ),
    (
      "entrypoint",
      text(
        "module.path:name in Python, made as framework says; without a colon as handler, where that is absent."
      )
    ),
    (
      "framework",
      text(
        "What an entrypoint in Python is: langgraph, langchain or custom. Else a label in events and /info.")
    ),
  ]

  private static let schemas = section(
    "What goes in and out.",
    [
      ("input", described("What a payload must look like.", ["type": ["object", "null"]])),
      ("output", described("Shown by /schema, not enforced.", ["type": ["object", "null"]])),
    ], withoutEffect: ["strict"])

  private static let expose = section(
    "Which routes, and where.",
    [
      ("rest", boolean("Serves POST /invoke.", default: true)),
      (
        "streaming",
        described(
          "sse serves POST /invoke/stream, none does not.",
          ["anyOf": [["enum": .array(["sse", "none"] + flags)], variable], "default": "sse"])
      ),
      ("host", text("The IPv4 or IPv6 address to listen on, or localhost.")),
      ("port", integer("The port to listen on.", 1...65_535, default: 8080)),
      ("unix_socket", text("Listens on this socket, and not on host and port.")),
      ("cors", cors),
      (
        "allowed_hosts",
        described(
          "For which hosts requests are answered: names, *.name, addresses, each with a port or without.",
          [
            "anyOf": [
              ["type": ["string", "null"]], ["type": "array", "items": ["type": "string"]],
            ]
          ])
      ),
      (
        "trusted_proxies",
        described(
          "Whose X-Forwarded-For is believed: addresses, networks such as 10.0.0.0/8, or unix.",
          [
            "anyOf": [
              ["type": ["string", "null"]], ["type": "array", "items": ["type": "string"]],
            ]
          ])
      ),
    ])

  private static let origins: JSONValue = [
    "anyOf": [["type": "string"], ["type": "array", "items": ["type": "string"]]]
  ]

  private static let cors = described(
    "Which origins a browser may call from.",
    [
      "anyOf": [
        ["type": ["boolean", "null", "string"]], ["type": "array", "items": ["type": "string"]],
        .object(
          section(
            "The origins.", required: ["origins"], [("origins", origins.object ?? [:])],
            withoutEffect: ["methods"])),
      ]
    ])

  private static let streaming = section(
    "Events and runs.",
    [
      ("async_runs", boolean("Serves /runs and what is below it.", default: true)),
      ("allow_client_ids", boolean("Lets a client choose the id of its run.", default: true)),
      ("backend", word("Where runs are kept.", ["memory", "redis"], default: "memory")),
      (
        "id_generator",
        section(
          "How ids are made.",
          [("type", word("The kind of ids.", ["uuid"], default: "uuid")), ("handler", ["type": "null"])])
      ),
      ("events", events),
      (
        "connection",
        section(
          "Subscriptions.",
          [
            ("default_timeout", integer("Seconds a subscription lasts.", 1...3600, default: 300)),
            (
              "max_subscribers_per_run",
              integer("Subscriptions to one run at once.", 1...100_000, default: 1000)
            ),
          ])
      ),
      (
        "memory",
        section(
          "The memory backend.",
          [
            ("max_events_per_run", integer("Events a run keeps.", 10...100_000, default: 10_000)),
            (
              "retention_seconds",
              integer("Seconds a run is kept after its end.", 60...604_800, default: 3600)
            ),
            ("max_bytes", bytes("Bytes of all kept events.", (1 << 20)...(1 << 40), default: 256 << 20)),
          ])
      ),
      (
        "redis",
        section(
          "The Redis backend.",
          [
            (
              "url",
              described(
                "redis://[user:password@]host[:port][/db] or unix:///path.",
                ["anyOf": [["type": "string", "pattern": "^(redis|unix)://\\S+$"], variable, null]])
            ),
            ("stream_ttl_seconds", integer("Seconds a run is kept after its end.", 60...604_800)),
            ("max_events_per_run", integer("Events a run keeps.", 10...100_000)),
            ("connection_pool_size", integer("Connections to Redis.", 1...1000, default: 10)),
            ("key_prefix", text("What all keys begin with; dockrion unless given.")),
            (
              "lease_seconds",
              integer("Seconds after which a silent server's runs are given up.", 2...300, default: 10)
            ),
            ("connect_timeout_seconds", integer("Seconds to connect.", 1...60, default: 5)),
            ("command_timeout_seconds", integer("Seconds to wait for an answer.", 1...60, default: 5)),
            (
              "max_pending_bytes",
              bytes("Bytes of one run's events that may wait.", (64 << 10)...(1 << 30), default: 16 << 20)
            ),
          ])
      ),
    ])

  private static let allowedForms: JSONValue = [
    ["enum": .array(EventsFilter.presetNames.map { .string($0) })], variable,
    [
      "type": "array",
      "items": [
        "anyOf": [
          ["enum": .array((EventWords.names + EventWords.mandatory).map { .string($0) })],
          ["type": "string", "pattern": "^custom:[A-Za-z_][A-Za-z0-9_.:-]{0,127}$"], variable,
        ]
      ],
    ],
    null,
  ]

  private static let events = section(
    "What agents may send.",
    [
      ("allowed", described("A preset, or a list of events.", ["anyOf": allowedForms, "default": "all"])),
      ("heartbeat_interval", integer("Seconds of silence before a heartbeat.", 1...300, default: 15)),
      ("max_run_duration", integer("Seconds an agent may run.", 1...86_400, default: 3600)),
    ])

  private static let runtime = section(
    "The bounds of the process.",
    [
      ("max_concurrent_runs", integer("Agents that execute at once.", 1...1_000_000, default: 10_000)),
      ("max_connections", integer("Open connections.", 1...1_000_000, default: 16_384)),
      (
        "worker_threads", integer("Threads for agents that block; above 120 it is 120.", 1...240, default: 64)
      ),
      ("ring_capacity", integer("Events that wait for the loop.", 2...65_536, default: 256)),
      (
        "stall_timeout_seconds",
        integer("Seconds a client may take nothing.", 1...3600, default: 60)
      ),
      ("shutdown_grace_seconds", integer("Seconds runs get after SIGTERM.", 0...3600, default: 10)),
      ("max_body_bytes", bytes("Bytes of a request's body.", 1...(1 << 30), default: 1 << 20)),
      (
        "max_buffered_bytes",
        bytes("Bytes that may wait on all connections.", (32 << 20)...(1 << 40), default: 256 << 20)
      ),
      (
        "max_payload_bytes",
        bytes("Bytes that payloads of running agents take.", (1 << 20)...(1 << 40), default: 512 << 20)
      ),
      ("request_timeout_seconds", integer("Seconds a request may take to arrive.", 1...3600, default: 30)),
      ("keep_alive_seconds", integer("Seconds a connection may idle.", 1...3600, default: 75)),
      (
        "expose_errors",
        boolean("Sends clients the text of an agent's error that is no AgentError.", default: false)
      ),
      ("python", python),
    ])

  private static let auth = section(
    "Who may call.", required: ["mode"], nullable: false,
    [
      ("mode", described("none or api_key.", ["anyOf": [["enum": ["none", "api_key"]], variable]])),
      (
        "api_keys",
        section(
          "Where the keys are.",
          [
            ("env_var", text("The variable that holds the keys, separated by commas.")),
            ("header", text("The header that carries the key; X-API-Key unless given.")),
            ("allow_bearer", boolean("Takes Authorization: Bearer as well.", default: true)),
            ("prefix", described("Refused: keys by prefix are not supported.", ["type": "null"])),
            ("enabled", described("Has no effect.", ["enum": .array(truths + [nil]), "deprecated": true])),
          ], withoutEffect: ["rotation_days"])
      ),
    ], withoutEffect: ["jwt", "roles", "rate_limits"])
}
