"""Names of events: which there are, and which an agent may choose."""

from __future__ import annotations

import re

#: Kinds of events that have a method of their own, by the number that goes over the wire; 0 is a custom event.
KINDS = {"token": 1, "step": 2, "progress": 3, "checkpoint": 4}

#: Events that the server says, whatever the filter.
MANDATORY = frozenset({"started", "complete", "error", "cancelled"})

#: Custom events with a meaning for chat clients; the preset `ui` lets them pass.
CHAT_EVENTS = ("reasoning", "tool_call", "tool_result", "usage", "source", "state")

#: Fields that every event has: an agent's object may not use their names.
RESERVED_FIELDS = frozenset({"run_id", "request_id", "type", "sequence", "timestamp"})

CUSTOM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}\Z")


def check_custom_name(name: str) -> None:
    """Raises `ValueError` where `name` cannot be a custom event's."""
    if not CUSTOM_NAME.match(name):
        raise ValueError(f"event_type {name!r} does not match ^[A-Za-z_][A-Za-z0-9_.:-]{{0,127}}$")
    if name in MANDATORY or name == "heartbeat":
        raise ValueError(f"event_type {name!r} is the server's own: agents cannot emit it")
