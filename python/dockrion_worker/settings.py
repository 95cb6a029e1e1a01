"""What HELLO says, with what holds where it says nothing."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Any

from dockrion_events.filter import EventsFilter

from . import frames, logs
from .run import RunContext


@dataclasses.dataclass
class Settings:
    """What HELLO says."""

    agent: Mapping[str, Any]
    filter: EventsFilter
    window: int = 1024
    ahead_bytes: int = 8 << 20
    event_bytes: int = (1 << 20) - 1024
    output_bytes: int = 16 << 20
    threads: int = 32
    cancel_grace_seconds: float = 10.0
    event_loop: str = "auto"
    expose_errors: bool = False
    log_level: int = logging.INFO
    properties: tuple[str, ...] = ()
    #: Number of the event loop's thread.
    loop_thread: int = 0
    #: Called with a run whose last frame may go.
    release: Callable[[RunContext], None] = lambda run: None

    @classmethod
    def read(cls, hello: Mapping[str, Any]) -> Settings:
        if hello.get("v") != 1:
            raise frames.BadFrame(f"HELLO has v {hello.get('v')!r}, 1 is known here")
        if not isinstance(hello.get("agent"), dict):
            raise frames.BadFrame("HELLO has no agent")
        try:
            settings = cls(agent=hello["agent"], filter=EventsFilter(hello.get("filter")))
            for name, least in _NUMBERS.items():
                value = hello.get(name, getattr(settings, name))
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < 1 << 53:
                    raise ValueError(f"{name} is {value!r}")
                setattr(settings, name, value if name == "cancel_grace_seconds" else int(value))
            settings.event_loop = str(hello.get("event_loop", settings.event_loop))
            settings.expose_errors = bool(hello.get("expose_errors", False))
            settings.log_level = logs.level_number(str(hello.get("log_level", "info")))
            settings.properties = tuple(str(name) for name in hello.get("properties") or ())
        except (TypeError, ValueError) as problem:
            raise frames.BadFrame(f"HELLO: {problem}") from None
        return settings


_NUMBERS = {
    "window": 1,
    "ahead_bytes": 0,
    "event_bytes": 1,
    "output_bytes": 2,
    "threads": 1,
    "cancel_grace_seconds": 0,
}
